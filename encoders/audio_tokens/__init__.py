"""From samples to discrete units, behind :class:`mining.contract.speech.AudioTokenizer`."""

from encoders.audio_tokens.collapse import collapsed, spelled

__all__ = ["collapsed", "spelled"]
