"""A bag of hashed words and n-grams with word order in small: this project's own network.

Importing this package registers its model with transformers' Auto classes, and so imports torch.
"""

from transformers import AutoConfig, AutoModel

from encoders.wordbag.model import WordBagConfig, WordBagModel

AutoConfig.register(WordBagConfig.model_type, WordBagConfig, exist_ok=True)
AutoModel.register(WordBagConfig, WordBagModel, exist_ok=True)

__all__ = ["WordBagConfig", "WordBagModel"]
