"""The contamination guard: benchmark sentences are refused, others are not."""

from __future__ import annotations

import gzip
import os
import random
from importlib import resources
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from mining.contract.errors import ConfigError
from mining.filter.contamination import guard_of, load_guard, shipped_sets
from mining.filter.sketch import sketch_texts
from mining.io.filesystem import Storage

STORAGE = Storage()
SENTENCES = [
    "The old ferry crosses the bay twice a day, except when the fog is too thick.",
    "Our neighbour keeps eleven goats behind the bakery and sells their cheese on Sundays.",
    "Nobody in the village remembered who had painted the water tower bright orange.",
    "Der Zug nach Görlitz fährt heute wegen der Bauarbeiten von einem anderen Gleis ab.",
    "Meine Großmutter strickte im Winter Handschuhe für alle Kinder unserer Straße.",
    "Mae'r llyfrgell newydd wrth ymyl yr afon yn agor bob bore am naw o'r gloch.",
    "Старый трамвай медленно поднимался на холм, и дети махали нам из окон.",
    "Kardeşim yağmurlu günlerde mutfakta oturup eski radyoları tamir etmeyi sever.",
    "وضع الصياد شباكه على الرمل وجلس ينتظر عودة المد قبل غروب الشمس.",
    "மழை நின்றதும் குழந்தைகள் தெருவில் காகிதப் படகுகளை மிதக்கவிட்டார்கள்.",
    "我奶奶每年秋天都会在院子里晒辣椒,然后分给所有的邻居。",
    "駅前の小さな本屋では、雨の日になると店主がお客さんに温かいお茶を出してくれる。",
]
UNRELATED = [
    "A committee of seven engineers will review the proposal before the end of spring.",
    "Bitte stellen Sie die leeren Flaschen vor die Tür, bevor Sie abreisen.",
    "На прошлой неделе мы переехали в квартиру с видом на старую крепость.",
    "医生建议他每天走一个小时,少喝咖啡,早一点睡觉。",
    "明日の会議は午後三時から二階の大きな部屋で行われる予定です。",
    "",
    "...",
]


def _write(path: Path, lines: list[str]) -> str:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def _damaged(text: str, share: float, rng: random.Random, letters: list[str]) -> str:
    """A share of the characters substituted, deleted or followed by another."""
    places = set(rng.sample(range(len(text)), round(share * len(text))))
    out = []
    for place, char in enumerate(text):
        edit = rng.randrange(3) if place in places else None
        out.append("" if edit in (0, 1) else char)
        out.append(rng.choice(letters) if edit in (1, 2) else "")
    return "".join(out)


def _letters(texts: list[str]) -> list[str]:
    return sorted({char for text in texts for char in text if char.isalpha()})


@pytest.fixture
def own(tmp_path: Path):
    return load_guard([_write(tmp_path / "own.txt", SENTENCES)], STORAGE)


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s,
        str.upper,
        str.lower,
        lambda s: f"  – «{s}» !!",
        lambda s: s.replace(" ", "\u00a0\u00a0").replace(",", ";"),
        lambda s: s.replace(" ", ""),
    ],
    ids=["same", "upper", "lower", "quoted", "spaced", "joined"],
)
def test_a_sentence_is_refused_in_any_case_punctuation_and_spacing(own, change):
    assert own.overlaps(pa.array([change(s) for s in SENTENCES])).all()


def test_a_sentence_is_refused_with_a_tenth_of_its_characters_changed(own):
    rng = random.Random(5)
    hits = []
    for sentence in SENTENCES:
        letters = _letters([sentence])
        texts = pa.array([_damaged(sentence, 0.1, rng, letters) for _ in range(50)])
        hits.append(own.overlaps(texts).mean())
    assert np.mean(hits) >= 0.9


def test_other_sentences_pass(own):
    assert not own.overlaps(pa.array([*UNRELATED, None], pa.string())).any()


def test_a_sentence_that_is_only_part_of_another_passes(own):
    assert not own.overlaps(pa.array([SENTENCES[0][:30], " ".join(SENTENCES[:3])])).any()


def test_a_short_sentence_is_refused_exactly_only(tmp_path: Path):
    guard = load_guard([_write(tmp_path / "short.txt", ["Good evening!", "你好吗"])], STORAGE)
    texts = pa.array(["good evening", "Good evenings", "你好吗?", "你好吧"])
    assert guard.overlaps(texts).tolist() == [True, False, True, False]


def test_each_set_is_named(tmp_path: Path):
    one = _write(tmp_path / "one.txt", SENTENCES[:3])
    two = str(tmp_path / "two.txt.gz")
    Path(two).write_bytes(gzip.compress("\r\n".join(SENTENCES[3:5]).encode()))
    guard = load_guard([one, two], STORAGE)
    texts = pa.chunked_array([[SENTENCES[4], "nothing known"], [SENTENCES[0] + " Ha", None]])
    assert guard.matches(texts).to_pylist() == [two, None, one, None]


def test_no_set_refuses_nothing():
    guard = load_guard([], STORAGE)
    assert guard.overlaps(pa.array(SENTENCES)).tolist() == [False] * len(SENTENCES)
    assert guard.overlaps(pa.array([], pa.string())).shape == (0,)


def test_neither_a_set_nor_a_file_is_an_error_that_names_both():
    with pytest.raises(ConfigError, match=r"contamination\.sets.*ntrex.*'ntrx'"):
        load_guard(["ntrx"], STORAGE)


def test_a_text_is_judged_alike_alone_and_among_others(own):
    rng = random.Random(1)
    letters = _letters(SENTENCES)
    texts = [_damaged(s, share, rng, letters) for s in SENTENCES for share in (0, 0.1, 0.2, 0.3)]
    texts = (texts + UNRELATED) * 60  # more than one batch
    together = own.overlaps(pa.array(texts))
    alone = [own.overlaps(pa.array([text]))[0] for text in texts[: len(texts) // 60]]
    assert together.tolist() == alone * 60


def test_near_matches_are_those_of_a_comparison_with_every_sentence(own):
    """The index by adjacent slots finds what comparing all slots would find, but for 1 in 100."""
    rng = random.Random(2)
    known = sketch_texts(pa.array(SENTENCES))
    texts = [_damaged(s, 0.12, rng, _letters([s])) for s in SENTENCES[:8] for _ in range(100)]
    sketches = sketch_texts(pa.array(texts))
    agreeing = (sketches.slots[:, None, :] == known.slots[None]).sum(axis=2)
    needed = np.where(sketches.length < 44, 13, 11)  # the guard's thresholds
    expected = (agreeing >= needed[:, None]).any(axis=1)
    found = own.overlaps(pa.array(texts))
    assert not (found & ~expected).any()
    assert found.sum() >= 0.98 * expected.sum()
    assert 0 < expected.sum() < len(texts)


def test_the_shipped_sets_hold_sketches_and_no_text():
    folder = resources.files("mining.filter")
    sizes = [len(folder.joinpath(f"{name}.parquet").read_bytes()) for name in shipped_sets()]
    assert shipped_sets() == ("flores200-dev", "ntrex")
    assert sum(sizes) <= 3_000_000
    guard = load_guard(shipped_sets(), STORAGE)
    assert len(guard.exact) > 65_000
    assert not guard.overlaps(pa.array(SENTENCES + UNRELATED)).any()


def test_sets_are_joined_in_the_order_given():
    sketches = sketch_texts(pa.array(SENTENCES))
    guard = guard_of({"first": sketches, "second": sketches})
    assert set(guard.matches(pa.array(SENTENCES)).to_pylist()) == {"first"}


# Real data: the files whose sketches are shipped, and text that has nothing to do with them.

REAL = Path(os.environ.get("MINING_REAL_DATA", Path(__file__).parents[5] / "shared" / "data"))
TEXT = REAL / "text"
FILES = sorted(TEXT.glob("ntrex/newstest2019-*.txt")) + sorted(TEXT.glob("flores200_dev/*_*.dev"))
needs_real_data = pytest.mark.skipif(not FILES, reason="no real data under $MINING_REAL_DATA")


@pytest.fixture(scope="module")
def shipped():
    return load_guard(("ntrex", "flores200-dev"), STORAGE)


@pytest.mark.realdata
@needs_real_data
def test_planted_benchmark_sentences_are_refused_in_every_language(shipped):
    assert len(FILES) == 44
    rng = random.Random(3)
    short = {}
    for file in FILES:
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        lines = rng.sample(lines, 400)
        letters = _letters(lines)
        exact = shipped.overlaps(
            pa.array([f"«{line.upper()}»".replace(" ", "  ") for line in lines])
        )
        near = shipped.overlaps(pa.array([_damaged(s, 0.1, rng, letters) for s in lines]))
        if exact.mean() < 0.99 or near.mean() < 0.9:
            short[file.name] = (exact.mean(), near.mean())
    assert not short


@pytest.mark.realdata
@needs_real_data
def test_unrelated_sentences_are_refused_less_than_once_in_a_thousand(shipped):
    options = {
        "parse_options": pa.csv.ParseOptions(delimiter="\t", quote_char=False),
    }
    refused = total = 0
    for file in sorted(TEXT.glob("packages/office_help/*.tsv.gz"))[::3]:
        texts = pa.csv.read_csv(file, **options)["text"].slice(0, 4000)
        refused, total = refused + shipped.overlaps(texts).sum(), total + len(texts)
    assert total > 20_000
    assert refused < total / 1000


@pytest.mark.benchmark
def test_benchmark_guard(shipped):
    import time

    texts = pa.array([s + str(i) for i in range(2000) for s in SENTENCES])
    shipped.overlaps(texts[:12])
    began = time.perf_counter()
    shipped.overlaps(texts)
    print(f"{len(texts) / (time.perf_counter() - began):,.0f} sentences a second on one core")
