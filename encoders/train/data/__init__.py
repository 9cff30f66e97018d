"""What the trainer learns from: manifests of speech and tables of text become batches of pairs."""

from encoders.train.data.load import Loaded, load_data
from encoders.train.data.mixture import Mixture
from encoders.train.data.pairs import HeldOut, PairSource, TrainingPair

__all__ = ["HeldOut", "Loaded", "Mixture", "PairSource", "TrainingPair", "load_data"]
