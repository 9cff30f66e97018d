"""Models that turn speech into words, behind one protocol.

Importing this package imports neither torch nor transformers nor CTranslate2.
"""

from encoders.recognise.card import RecogniserCard
from encoders.recognise.load import describe_recogniser, load_recogniser
from mining.contract.model_ref import RecogniserRef

__all__ = ["RecogniserCard", "RecogniserRef", "describe_recogniser", "load_recogniser"]
