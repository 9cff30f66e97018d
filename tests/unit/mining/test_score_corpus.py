from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mining.contract.errors import InputError
from mining.contract.vectors import to_stored
from mining.score import ScoreSettings
from mining.score_corpus import FIGURES, ScoredCorpus, score_corpus, with_figures
from mining.text.pair_files import PairFile
from mining.text.pair_rows import PairColumns, PairRows, prepare_pairs
from tests.reference import rules
from tests.reference.neighbors import similarity_matrix

DIM = 6
texts = st.sampled_from(["a", "b ", " b", "c d", "e\u0301", "\u00e9", "", " \u200b", None])
langs = st.sampled_from(["deu", "de", "eng", "fra", "zz", None])
records = st.lists(st.tuples(langs, langs, texts, texts), min_size=1, max_size=14)


def prepared(rows: list[tuple]) -> PairRows:
    src_lang, tgt_lang, src, tgt = zip(*rows, strict=True)
    columns = {"src_lang": src_lang, "tgt_lang": tgt_lang, "src_text": src, "tgt_text": tgt}
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    return prepare_pairs(PairFile(table=table), PairColumns(), "here")


def vector(lang: str, text: str) -> np.ndarray:
    """Of the sentence alone."""
    return np.random.default_rng([*f"{lang} {text}".encode()]).normal(size=DIM) + 1


def scored(rows: PairRows, how: ScoreSettings) -> ScoredCorpus:
    sentences = rows.sentences.to_pylist()
    vectors = np.array([vector(one["lang"], one["text"]) for one in sentences]).reshape(-1, DIM)
    return score_corpus(rows, to_stored(vectors)[0], {}, how)


@settings(max_examples=80)
@given(records, st.integers(1, 3), st.sampled_from(["ratio", "distance", "absolute"]))
def test_every_row_has_the_figures_of_the_plain_loops_or_a_reason(records, k, margin):
    how = ScoreSettings(k=k, margin=margin)
    rows = prepared(records)
    figures = scored(rows, how).figures.to_pylist()
    assert len(figures) == len(records)
    names = rows.sentences.to_pylist()
    pairs = [(names[s], names[t]) if s >= 0 else None
             for s, t in zip(rows.src.tolist(), rows.tgt.tolist(), strict=True)]  # fmt: skip
    for row, found in zip(pairs, figures, strict=True):
        assert (row is None) == (found["reason"] is not None)
        if row is None:
            assert found["similarity"] is None
            assert found["mutual"] is None
            continue
        of_langs = [p for p in pairs if p and [s["lang"] for s in p] == [s["lang"] for s in row]]
        pools = [sorted({p[side]["segment_id"]: p[side] for p in of_langs}.items())
                 for side in (0, 1)]  # fmt: skip
        x, y = (to_stored(np.array([vector(s["lang"], s["text"]) for _, s in pool]))[0]
                for pool in pools)  # fmt: skip
        at = tuple([i for i, _ in pool].index(s["segment_id"])
                   for pool, s in zip(pools, row, strict=True))  # fmt: skip
        ((expected, mutual),) = rules.given(similarity_matrix(x, y), [at], how)
        assert expected == rules.Candidate(
            similarity=found["similarity"],
            score=found["margin_score"],
            forward_rank=found["forward_rank"],
            backward_rank=found["backward_rank"],
            src_mean=found["src_mean_similarity"],
            tgt_mean=found["tgt_mean_similarity"],
        )
        assert found["mutual"] == mutual


@settings(max_examples=40)
@given(records, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(records, random):
    how = ScoreSettings(k=2)
    expected = scored(prepared(records), how).figures.to_pylist()
    order = random.sample(range(len(records)), len(records))
    found = scored(prepared([records[row] for row in order]), how).figures.to_pylist()
    assert found == [expected[row] for row in order]


def test_a_repeated_sentence_does_not_crowd_the_neighbourhood():
    rows = [("deu", "eng", word, word.upper()) for word in ("ein", "zwei", "drei", "vier")]
    how = ScoreSettings(k=3)
    once = scored(prepared(rows), how).figures
    often = scored(prepared(rows + [rows[0]] * 5), how)
    assert often.figures.slice(0, 4).equals(once)
    assert often.figures.slice(4).to_pylist() == [once.to_pylist()[0]] * 5
    (langs,) = often.langs
    assert (langs.rows, langs.sources, langs.targets) == (9, 4, 4)


def test_reasons():
    rows = [("deu", "eng", "a", " "), ("deu", "x y", "a", "b"), ("deu", "eng", None, "b")]
    found = scored(prepared(rows), ScoreSettings()).figures
    assert found["reason"].to_pylist() == ["empty", "unknown_language", "missing_value"]
    assert found["detail"].to_pylist() == [
        "target: nothing visible", "target: x y", "source is missing"
    ]  # fmt: skip


def test_a_sentence_without_a_vector_is_the_reason_of_its_rows_and_in_no_pool():
    rows = [("deu", "eng", s, t) for s, t in (("a", "x"), ("b", "y"), ("a", "z"), ("c", "w"))]
    given_rows = prepared(rows)
    names = given_rows.sentences["text"].to_pylist()
    vectors = to_stored(np.array([vector("", name) for name in names]))[0]
    lost = names.index("a")
    vectors[lost] = 0
    found = score_corpus(given_rows, vectors, {lost: ("no_embedding", "none")}, ScoreSettings(k=2))
    assert found.figures["reason"].to_pylist() == ["no_embedding", None, "no_embedding", None]
    assert found.figures["detail"][0].as_py() == "source: none"
    assert found.langs[0].targets == 2


def test_own_columns_are_kept_under_another_name_where_they_are_named_as_figures():
    own = pa.table({"id": [1], "similarity": ["x"], "input_similarity": ["y"], "reason": ["z"]})
    figures = pa.table({field.name: pa.nulls(1, field.type) for field in FIGURES}, schema=FIGURES)
    table, renamed = with_figures(own, figures)
    assert renamed == {"similarity": "input_input_similarity", "reason": "input_reason"}
    assert table.column_names[:4] == [
        "id", "input_input_similarity", "input_similarity", "input_reason"
    ]  # fmt: skip
    assert table.schema.field("similarity").type == pa.float32()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            PairColumns(src_text="source"),
            "the texts in a column 'source', but the columns are 'a', 'n'",
        ),
        (PairColumns(src_text="a", tgt_text="n"), "'n', but that holds int64"),
        (
            PairColumns(src_text="a", tgt_text="a"),
            "the languages, given for all rows or in a column",
        ),
    ],
)
def test_a_missing_column_is_named_with_those_there_are(columns, message):
    pairs = PairFile(table=pa.table({"a": ["x"], "n": [1]}))
    with pytest.raises(InputError, match=message):
        prepare_pairs(pairs, columns, "here")
