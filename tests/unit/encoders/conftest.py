"""Tiny models, built on disk and loaded by the code that loads real ones."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before huggingface_hub is imported

import string
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    M2M100Config,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3Model,
    XLMRobertaConfig,
    XLMRobertaModel,
)
from transformers.models.m2m_100.modeling_m2m_100 import M2M100Encoder

CHARACTERS = string.ascii_letters + string.digits + " :.,?!\n"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def character_tokenizer(ending: str, max_length: int = 64) -> PreTrainedTokenizerFast:
    """One token a character, then ``ending`` (``bert``: CLS before and SEP after; ``end``: SEP)."""
    vocabulary = {token: i for i, token in enumerate([*SPECIAL, *CHARACTERS])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]" if ending == "bert" else "$A [SEP]",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=max_length,
    )


def _saved(model, tokenizer, folder: Path) -> Path:
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_bert(folder: Path, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(SPECIAL) + len(CHARACTERS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=64,
        initializer_range=0.3,
    )
    return _saved(BertModel(config), character_tokenizer("bert"), folder)


def save_roberta(folder: Path) -> Path:
    torch.manual_seed(1)
    config = XLMRobertaConfig(
        vocab_size=len(SPECIAL) + len(CHARACTERS),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=41,  # 40 tokens: positions count from the padding id + 1
        pad_token_id=0,
        initializer_range=0.3,
    )
    return _saved(XLMRobertaModel(config), character_tokenizer("bert"), folder)


def save_qwen(folder: Path) -> Path:
    torch.manual_seed(2)
    config = Qwen3Config(
        vocab_size=len(SPECIAL) + len(CHARACTERS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        intermediate_size=48,
        max_position_embeddings=512,
        initializer_range=0.3,
    )
    return _saved(Qwen3Model(config), character_tokenizer("end", 512), folder)


def save_m2m100(folder: Path) -> Path:
    """A SONAR text encoder in small: M2M100Encoder and an NLLB tokenizer."""
    from transformers import NllbTokenizer

    torch.manual_seed(3)
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁", *string.ascii_letters, *",.?!"]
    tokenizer = NllbTokenizer(vocab={piece: i for i, piece in enumerate(pieces)}, merges=[])
    config = M2M100Config(
        vocab_size=len(tokenizer),
        d_model=32,
        encoder_layers=2,
        decoder_layers=1,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        max_position_embeddings=128,
        init_std=0.3,
    )
    return _saved(M2M100Encoder(config), tokenizer, folder)


def save_sentence_transformer(folder: Path, transformer: Path, pooling: str = "cls") -> Path:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Dense, Normalize, Pooling, Transformer

    torch.manual_seed(4)
    modules = [
        Transformer(str(transformer), max_seq_length=40),
        Pooling(32, pooling_mode=pooling),
        Dense(32, 24),
        Normalize(),
    ]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder))
    return folder


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def bert(models_folder) -> Path:
    return save_bert(models_folder / "bert")


@pytest.fixture(scope="session")
def qwen(models_folder) -> Path:
    return save_qwen(models_folder / "Qwen3-Embedding-0.6B")


@pytest.fixture(scope="session")
def sonar(models_folder) -> Path:
    return save_m2m100(models_folder / "SONAR_200_text_encoder")


@pytest.fixture(scope="session")
def roberta(models_folder) -> Path:
    return save_roberta(models_folder / "multilingual-e5-small")


@pytest.fixture(scope="session")
def sentence_transformer(models_folder, bert) -> Path:
    return save_sentence_transformer(models_folder / "st", bert)


@pytest.fixture
def own_bert(tmp_path) -> Path:
    """A model folder that a test may spoil."""
    return save_bert(tmp_path / "own")


@pytest.fixture(scope="session")
def segments():
    """Texts (and languages, ids) to the columns of a SEGMENT batch that encoders read."""

    def build(texts, langs=None, ids=None, doc_ids=None) -> pa.RecordBatch:
        count = len(texts)
        return pa.record_batch(
            {
                "segment_id": pa.array(ids or [f"{i:032x}" for i in range(count)], pa.string()),
                "doc_id": pa.array(doc_ids or [None] * count, pa.string()),
                "lang": pa.array(langs or ["eng"] * count, pa.string()),
                "text": pa.array(texts, pa.string()),
            }
        )

    return build


TEXTS = [
    "The ferry leaves at seven.",
    "ok",
    "A much longer sentence, so that the padded length is another one",
    "Who moved the ladder?",
    "Seven ferries, no ladder.",
    "x",
    "Rain again. Bring the boots!",
]


@pytest.fixture(scope="session")
def texts() -> list[str]:
    return TEXTS
