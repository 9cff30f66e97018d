import pytest

from encoders.families import FAMILIES, UNKNOWN, family_of, is_restricted, text_settings
from mining.contract.model_ref import ModelRef


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("LaBSE", "LaBSE"),
        ("multilingual-e5-small", "multilingual-e5"),
        ("multilingual-e5-large", "multilingual-e5"),
        ("multilingual-e5-large-instruct", "multilingual-e5-large-instruct"),
        ("bge-m3", "bge-m3"),
        ("Qwen3-Embedding-0.6B", "Qwen3-Embedding"),
        ("embeddinggemma-300m", "EmbeddingGemma"),
        ("SONAR_200_text_encoder", "SONAR text"),
        ("MEXMA", "MEXMA"),
        ("my-labse-finetune", ""),
        ("bert-base-multilingual-cased", ""),
    ],
)
def test_names_to_families(name, family):
    assert family_of([name]).name == family


def test_every_family_is_found_by_one_pattern_only():
    names = ["LaBSE", "multilingual-e5-base", "multilingual-e5-large-instruct", "bge-m3", "MEXMA",
             "Qwen3-Embedding-8B", "embeddinggemma-300m", "SONAR_200_text_encoder"]  # fmt: skip
    assert {family_of([name]).name for name in names} == {family.name for family in FAMILIES}


def test_overrides_win_then_the_folder_then_the_family():
    qwen = family_of(["Qwen3-Embedding-4B"])
    plain = text_settings(ModelRef(path="x"), qwen, states_own=False)
    assert (plain.pooling, plain.padding_side, plain.max_tokens) == ("last_token", "left", 8192)
    own = text_settings(ModelRef(path="x"), qwen, states_own=True)
    assert (own.pooling, own.padding_side, own.max_tokens) == (None, None, None)
    assert own.prefix == plain.prefix == qwen.prefix
    ref = ModelRef(path="x", pooling="cls", prefix="", padding_side="right", max_tokens=7)
    for states_own in (True, False):
        told = text_settings(ref, qwen, states_own=states_own)
        assert (told.pooling, told.prefix, told.padding_side, told.max_tokens) == (
            "cls", "", "right", 7
        )  # fmt: skip
    assert text_settings(ModelRef(path="x"), UNKNOWN, states_own=True).prefix is None


@pytest.mark.parametrize(
    ("licence", "restricted"),
    [
        ("apache-2.0", False),
        ("mit", False),
        ("cc-by-4.0", False),
        ("unknown", False),
        ("cc-by-nc-4.0", True),
        ("CC BY-NC 4.0", True),
        ("cc-by-nc-sa-4.0", True),
        ("gemma", True),
        ("other", True),
    ],
)
def test_licences_that_restrict(licence, restricted):
    assert is_restricted(licence) is restricted
