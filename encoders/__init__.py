"""Models that turn segments into vectors, behind one protocol.

Importing this package imports neither torch nor transformers.
"""

from encoders.card import EncoderCard, require_same_space
from encoders.load import calibration_of, describe_encoder, load_encoder, require_device
from encoders.segments import Embedded, embed_batch
from encoders.texts import embed_texts
from mining.contract.model_ref import ModelRef

__all__ = [
    "Embedded",
    "EncoderCard",
    "ModelRef",
    "calibration_of",
    "describe_encoder",
    "embed_batch",
    "embed_texts",
    "load_encoder",
    "require_device",
    "require_same_space",
]
