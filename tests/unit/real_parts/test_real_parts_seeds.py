"""Which clips and texts are learned from."""

import csv
import gzip

import pytest

_HEADER = ("audio", "lang", "transcript", "translation", "reading", "start_s", "end_s", "speaker")


def _manifest(path, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerows([_HEADER, *rows])
    return path


@pytest.fixture
def clips(tmp_path):
    rows = [
        ("a/b.flac", lang, f'said "{n}"', "", "", f"{n}.0", f"{n + length}.0", "x")
        for lang in ("deu", "nld")
        for n, length in ((0, 1), (1, 2), (3, 9), (12, 2), (14, 1))
    ]
    return _manifest(tmp_path / "all.tsv", rows)


def test_so_many_of_each_language_and_none_too_long(example, clips, tmp_path):
    seeds = example("seeds")
    assert seeds.write_synthetic(clips, frozenset(), 3, 5.0, tmp_path / "out.tsv") == 6
    rows = seeds.read_table(tmp_path / "out.tsv")
    assert [row["lang"] for row in rows].count("deu") == 3
    assert all(float(row["end_s"]) - float(row["start_s"]) <= 5 for row in rows)
    assert {row["audio"] for row in rows} == {str(tmp_path / "a/b.flac")}
    assert all(row["transcript"].startswith('said "') for row in rows)


def test_the_draw_does_not_depend_on_the_order_of_the_rows(example, clips, tmp_path):
    seeds = example("seeds")
    seeds.write_synthetic(clips, frozenset(), 2, 5.0, tmp_path / "one.tsv")
    with clips.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t"))[1:]
    _manifest(clips, rows[::-1])
    seeds.write_synthetic(clips, frozenset(), 2, 5.0, tmp_path / "two.tsv")
    found = [seeds.read_table(tmp_path / f"{name}.tsv") for name in ("one", "two")]
    assert sorted(map(str, found[0])) == sorted(map(str, found[1]))


def test_languages_that_nobody_speaks_are_refused(example, clips, tmp_path):
    with pytest.raises(SystemExit, match="must hold some clips"):
        example("seeds").write_people(clips, frozenset({"fra"}), tmp_path / "out.tsv")


def test_texts_pair_by_id_without_markup(example, tmp_path):
    lines = {
        "deu": "id\ttext\n1\tGuten Tag\n2\t$name geht\n3\tnur deutsch\n",
        "eng": "id\ttext\n1\tGood day\n2\t$name goes\n4\tEnglish only\n",
    }
    folder = tmp_path / "story_game"
    folder.mkdir()
    for lang, text in lines.items():
        with gzip.open(folder / f"{lang}.tsv.gz", "wt", encoding="utf-8") as file:
            file.write(text)
    output = tmp_path / "texts.tsv.gz"
    assert example("seeds").write_texts(tmp_path, frozenset({"deu", "eng"}), 9, output) == 1
    with gzip.open(output, "rt", encoding="utf-8") as file:
        assert file.read().splitlines()[1:] == ["Guten Tag\tGood day\tdeu\teng"]
