import logging
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModel, AutoTokenizer
from transformers.models.m2m_100.modeling_m2m_100 import M2M100Encoder

from encoders import load_encoder
from mining.contract.encoder import Encoder
from mining.contract.errors import CapacityError, CheckpointError, ConfigError


def unit(vectors):
    vectors = np.asarray(vectors, dtype=np.float64)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def row_by_row(folder, texts, pool, prefix="", max_tokens=64):
    """Plain transformers: one text at a time, so no padding at all."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32)
    vectors = []
    for text in texts:
        inputs = tokenizer(
            prefix + text, return_tensors="pt", truncation=True, max_length=max_tokens
        )
        with torch.inference_mode():
            vectors.append(pool(model(**inputs)).numpy())
    return unit(vectors)


POOLS = {
    "mean": lambda out: out.last_hidden_state[0].mean(0),
    "cls": lambda out: out.last_hidden_state[0, 0],
    "last_token": lambda out: out.last_hidden_state[0, -1],
    "pooler": lambda out: out.pooler_output[0],
}


@pytest.mark.parametrize("pooling", ["mean", "cls", "last_token", "pooler"])
def test_every_pooling_equals_plain_transformers_row_by_row(bert, segments, texts, pooling):
    encoder = load_encoder(str(bert), pooling=pooling, device="cpu")
    assert isinstance(encoder, Encoder)
    found = encoder.embed(segments(texts))
    expected = row_by_row(bert, texts, POOLS[pooling])
    assert found.vectors.dtype == np.float32
    assert not found.problems
    np.testing.assert_allclose(found.vectors, expected, atol=1e-6)


def test_unknown_family_is_pooled_by_mean(bert, segments, texts):
    found = load_encoder(str(bert)).embed(segments(texts)).vectors
    np.testing.assert_allclose(found, row_by_row(bert, texts, POOLS["mean"]), atol=1e-6)


def test_qwen_family_takes_last_token_left_padding_and_instruction(qwen, segments, texts):
    encoder = load_encoder(str(qwen))
    prefix = "Instruct: Retrieve parallel sentences.\nQuery:"
    expected = row_by_row(qwen, texts, POOLS["last_token"], prefix, 512)
    np.testing.assert_allclose(encoder.embed(segments(texts)).vectors, expected, atol=2e-6)
    bare = load_encoder(str(qwen), prefix="").embed(segments(texts)).vectors
    assert (np.abs(bare - expected).max(axis=1) > 1e-2).all()  # the prefix matters


def test_e5_family_takes_query_prefix_and_mean(roberta, segments, texts):
    expected = row_by_row(roberta, texts, POOLS["mean"], "query: ", 40)
    found = load_encoder(str(roberta)).embed(segments(texts)).vectors
    np.testing.assert_allclose(found, expected, atol=1e-6)
    other = load_encoder(str(roberta), prefix="passage: ").embed(segments(texts)).vectors
    assert (np.abs(other - expected).max(axis=1) > 1e-2).all()


def test_padding_side_is_honoured(bert, segments):
    """BERT counts positions from the left edge, so that left padding is wrong for it: it shows."""
    batch = segments(["The ferry leaves at seven."])
    right = load_encoder(str(bert), padding_side="right").embed(batch).vectors
    left = load_encoder(str(bert), padding_side="left").embed(batch).vectors
    assert np.abs(right - left).max() > 1e-2


def test_sonar_speaks_each_rows_language(sonar, segments, texts):
    langs = ["eng", "deu", "zho", "ara", "lav", "eng", "deu"]
    codes = ["eng_Latn", "deu_Latn", "zho_Hans", "arb_Arab", "lvs_Latn", "eng_Latn", "deu_Latn"]
    tokenizer = AutoTokenizer.from_pretrained(sonar)
    model = M2M100Encoder.from_pretrained(sonar)
    expected = []
    for text, code in zip(texts, codes, strict=True):
        tokenizer.src_lang = code
        with torch.inference_mode():
            hidden = model(**tokenizer(text, return_tensors="pt")).last_hidden_state
        expected.append(hidden[0].mean(0).numpy())
    encoder = load_encoder(str(sonar))
    found = encoder.embed(segments(texts, langs)).vectors
    np.testing.assert_allclose(found, unit(expected), atol=1e-6)
    other = encoder.embed(segments(texts, ["fra"] * len(texts))).vectors
    assert (np.abs(other - found).max(axis=1) > 1e-3).all()


def test_language_without_code_and_row_without_text_are_problems(sonar, segments):
    found = load_encoder(str(sonar)).embed(segments(["a", "b", None], ["eng", "xxx", "eng"]))
    assert set(found.problems) == {1, 2}
    assert "'xxx'" in found.problems[1]
    assert np.linalg.norm(found.vectors[0]) == pytest.approx(1)


@pytest.mark.parametrize("prefix", [None, "query: "])
def test_sentence_transformers_folder_equals_its_own_encode(
    sentence_transformer, segments, texts, prefix
):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(sentence_transformer), device="cpu")
    expected = np.stack([model.encode(text, prompt=prefix) for text in texts])
    encoder = load_encoder(str(sentence_transformer), prefix=prefix)
    assert encoder.dim == 24
    found = encoder.embed(segments(texts)).vectors
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_sentence_transformers_batches_are_filled_up_on_the_right_side(
    sentence_transformer, segments
):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(sentence_transformer), device="cpu")
    model.tokenizer.padding_side = "left"
    filler = "x" * 14  # with its two special tokens the 16 that a short text is padded to
    expected = model.encode(["ferry", filler])[0]
    encoder = load_encoder(str(sentence_transformer), padding_side="left")
    found = encoder.embed(segments(["ferry"])).vectors[0]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_sentence_transformers_overrides_win(sentence_transformer, segments, texts):
    own = load_encoder(str(sentence_transformer)).embed(segments(texts)).vectors
    mean = load_encoder(str(sentence_transformer), pooling="mean").embed(segments(texts)).vectors
    short = load_encoder(str(sentence_transformer), max_tokens=8).embed(segments(texts)).vectors
    left = load_encoder(str(sentence_transformer), padding_side="left").embed(segments(texts))
    for other in (mean, short, left.vectors):
        assert np.abs(other[0] - own[0]).max() > 1e-3
    assert np.abs(short[1] - own[1]).max() < 1e-6  # a short text loses nothing
    with pytest.raises(ConfigError, match="pooler"):
        load_encoder(str(sentence_transformer), pooling="pooler")


@pytest.mark.parametrize("model", ["bert", "qwen", "sentence_transformer"])
def test_order_and_company_do_not_change_a_vector(model, request, segments):
    folder = request.getfixturevalue(model)
    encoder = load_encoder(str(folder), batch_tokens=256)
    draw = random.Random(5)
    texts = ["".join(draw.choices("abcdefgh ", k=draw.randint(1, 60))) for _ in range(60)]
    ids = [f"{draw.getrandbits(128):032x}" for _ in texts]
    whole = encoder.embed(segments(texts, ids=ids)).vectors
    order = draw.sample(range(60), 60)
    shuffled = encoder.embed(
        segments([texts[i] for i in order], ids=[ids[i] for i in order])
    ).vectors
    assert np.array_equal(shuffled, whole[order])  # same rows, same canonical batches: same bits
    alone = np.stack([encoder.embed(segments([text])).vectors[0] for text in texts])
    np.testing.assert_allclose(alone, whole, atol=1e-6)
    assert np.array_equal(encoder.embed(segments(texts, ids=ids)).vectors, whole)  # no memory


@given(budget=st.integers(16, 600))
@settings(max_examples=8, deadline=None)
def test_budget_does_not_change_a_vector(bert, segments, texts, budget):
    usual = load_encoder(str(bert)).embed(segments(texts)).vectors
    other = load_encoder(str(bert), batch_tokens=budget).embed(segments(texts)).vectors
    np.testing.assert_allclose(other, usual, atol=1e-6)


def test_truncation_is_exact_and_said_once(bert, segments, caplog):
    texts = ["a" * 6, "b" * 7, "c" * 90]  # with two special tokens: 8, 9 and 92
    encoder = load_encoder(str(bert), max_tokens=8)
    with caplog.at_level(logging.WARNING):
        found = encoder.embed(segments(texts)).vectors
        encoder.embed(segments(texts))
    assert [r.getMessage() for r in caplog.records if "cut" in r.getMessage()] == [
        "bert: 2 of 3 segments are longer than 8 tokens and are cut there (said once)"
    ]
    assert encoder.notes == ("4 segments cut to 8 tokens",)
    np.testing.assert_allclose(found, row_by_row(bert, texts, POOLS["mean"], "", 8), atol=1e-6)


def test_longest_input_is_the_models_own(bert, roberta, segments):
    for folder in (bert, roberta):
        found = load_encoder(str(folder), max_tokens=5000).embed(segments(["a" * 300]))
        assert not found.problems


def test_empty_batch(bert, segments):
    assert load_encoder(str(bert)).embed(segments([])).vectors.shape == (0, 32)


def test_vector_that_is_not_finite_is_a_problem(own_bert, segments):
    model = AutoModel.from_pretrained(own_bert)
    tokenizer = AutoTokenizer.from_pretrained(own_bert)
    with torch.no_grad():
        model.get_input_embeddings().weight[tokenizer.convert_tokens_to_ids("Z")] = torch.nan
    model.save_pretrained(own_bert)
    found = load_encoder(str(own_bert)).embed(segments(["abc", "abZ"]))
    assert set(found.problems) == {1}
    assert np.isfinite(found.vectors[0]).all()


def test_half_precision_is_close(bert, segments, texts):
    full = load_encoder(str(bert)).embed(segments(texts)).vectors
    half = load_encoder(str(bert), dtype="bfloat16").embed(segments(texts)).vectors
    assert 1e-6 < np.abs(half - full).max() < 0.1


def test_gpu_that_is_not_there(bert, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(CapacityError, match="device cuda"):
        load_encoder(str(bert), device="cuda")


def test_config_and_weights_that_do_not_match(own_bert, sentence_transformer):
    import json

    config = json.loads((own_bert / "config.json").read_text())
    for key, value in (("num_hidden_layers", 1), ("num_hidden_layers", 3), ("hidden_size", 16)):
        (own_bert / "config.json").write_text(json.dumps({**config, key: value}))
        with pytest.raises(CheckpointError) as caught:
            load_encoder(str(own_bert))
        assert "\n" not in str(caught.value)
        assert str(own_bert) in str(caught.value)
