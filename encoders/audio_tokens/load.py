"""From a folder to an audio tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from encoders.audio_tokens.card import AudioTokenizerCard
from encoders.audio_tokens.lexicon import LEXICON_FILE, Speller, read_speller
from encoders.audio_tokens.settings import CONV_CTC, CTC, KMEANS, read_settings
from mining.contract.errors import CheckpointError

if TYPE_CHECKING:
    from mining.contract.speech import AudioTokenizer


def load_audio_tokenizer(
    folder: Path, *, device: str = "cpu", threads: int | None = None
) -> AudioTokenizer:
    """Load an audio tokenizer, ready to hear.

    Args:
        folder: with ``tokenizer.json``: k-means units, a Hugging Face CTC model, or the small
            convolutional one.
        device: ``cpu``, ``cuda``, or ``auto``, which takes a GPU if there is one.
        threads: of torch; None: as the process has them.

    Raises:
        CheckpointError: there is no such folder, or it is not whole.
        ConfigError: there is no such device name.
        CapacityError: there is no such device, or the network does not fit on it.
    """
    kind = read_settings(folder)[0]
    if kind == KMEANS:
        from encoders.audio_tokens.kmeans_units import load_kmeans

        return load_kmeans(folder, device=device, threads=threads)
    if kind == CTC:
        from encoders.audio_tokens.ctc_units import load_ctc

        return load_ctc(folder, device=device, threads=threads)
    from encoders.audio_tokens.conv_ctc import load_conv_ctc

    return load_conv_ctc(folder, device=device, threads=threads)


def describe_audio_tokenizer(folder: Path) -> AudioTokenizerCard:
    """What a launcher must know of an audio tokenizer, with no weights in memory.

    Args:
        folder: as for ``load_audio_tokenizer``.

    Raises:
        CheckpointError: there is no such folder, or it is not whole.
    """
    kind = read_settings(folder)[0]
    if kind == KMEANS:
        from encoders.audio_tokens.kmeans_units import describe_kmeans

        return describe_kmeans(folder)
    if kind == CTC:
        from encoders.audio_tokens.ctc_units import describe_ctc

        return describe_ctc(folder)
    from encoders.audio_tokens.conv_ctc import describe_conv_ctc

    return describe_conv_ctc(folder)


def load_speller(folder: Path) -> Speller | None:
    """What turns the letters of the small recogniser into words; None of one without a lexicon.

    Args:
        folder: as for ``load_audio_tokenizer``.

    Raises:
        CheckpointError: the lexicon is damaged, or belongs to another recogniser.
    """
    path = folder / LEXICON_FILE
    if not path.is_file():
        return None
    if read_settings(folder)[0] != CONV_CTC:
        raise CheckpointError(
            f"{path}: must lie beside a recogniser of kind {CONV_CTC}, which knows what it takes for "
            "what, but does not; remove it"
        )
    from encoders.audio_tokens.conv_ctc import confusions_of, describe_conv_ctc

    return read_speller(path, describe_conv_ctc(folder).symbols or (), confusions_of(folder))
