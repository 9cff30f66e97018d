"""Make mining problems out of recordings of people, with gold, for judging speech.

Each problem is a folder with a config; run and judge it with::

    python examples/evaluation/speech.py common_voice DATA out/cv --recogniser models/whisper-base
    mining run --config out/cv/run.yaml --set model.path=use-multilingual
    mining evaluate --config out/cv/run.yaml --set model.path=use-multilingual

DATA is laid out as described in ``examples/evaluation/README.md``. Problems:

* ``common_voice``: clips against the sentences that were read, hidden among beginnings of NTREX
  sentences that are as long; and against English translations where there are some.
* ``held_out``: the same with the 262 clips that no model of this project was trained on
  (``examples/builtin_ears/people.py`` splits them off).
* ``unlabelled``: those and the other speakers' clips, which the gold says nothing of: for rounds that
  learn from what they mine (``examples/rounds``).
* ``prompts``: parallel prompts in five languages, of which every language lacks some: speech
  against text and speech against speech.
* ``quechua``: utterances against their Spanish translations among sentences as long.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import yaml

from mining.contract.languages import canonical_language

sys.path.append(str(Path(__file__).resolve().parents[1] / "builtin_ears"))
from people import split

DISTRACTORS = 2000
_NTREX = re.compile(r"newstest2019-(?:src|ref)\.(.+)\.txt")
_LACKING = 3  # of the prompts, each language lacks one in so many on each side

Rows = list[dict[str, str]]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("problem", choices=sorted(PROBLEMS))
    parser.add_argument("data", type=Path, help="folder of the real recordings and texts")
    parser.add_argument("output", type=Path)
    parser.add_argument(
        "--recogniser", help="model folder, or a hub's name; none: the encoder hears"
    )
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    problem = PROBLEMS[arguments.problem]
    config = {
        "schema": 1,
        "output": str(arguments.output / "run"),
        "model": {"path": "use-multilingual"},
        **({"recogniser": {"path": arguments.recogniser}} if arguments.recogniser else {}),
        **problem(arguments.data.absolute(), arguments.output, arguments.recogniser),
        # the threshold of best F1 is found by the evaluation (BUCC's rule)
        "mining": {"threshold": "none"},
        "contamination": {"sets": []},  # NTREX is what the distractors are made of
        "evaluate": {"gold": str(arguments.output / "gold.tsv")},
    }
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    (arguments.output / "run.yaml").write_text(text, encoding="utf-8")


def common_voice(data: Path, output: Path, recogniser: str | None) -> dict[str, object]:
    """807 clips of 22 languages; a sentence that several people read is one meaning."""
    return _clips(data, output, read_table(data / "commonvoice/index.tsv"))


def held_out(data: Path, output: Path, recogniser: str | None) -> dict[str, object]:
    """Twelve clips a language (Slovenian ten), whole speakers."""
    return _clips(data, output, split(read_table(data / "commonvoice/index.tsv"))[1])


def unlabelled(data: Path, output: Path, recogniser: str | None) -> dict[str, object]:
    """Clips and what is said in them, but which say what stands in the gold for held-out ones only."""
    mined, judged = split(read_table(data / "commonvoice/index.tsv"))
    return _clips(data, output, [*mined, *judged], frozenset(map(_meaning, judged)))


def _clips(
    data: Path, output: Path, clips: Rows, judged: frozenset[str] | None = None
) -> dict[str, object]:
    gold, texts, audio = [], [], ["path\tlang"]
    for clip in clips:
        lang, meaning = code_of(clip["lang"]), _meaning(clip)
        path = f"{clip['lang']}/clips/{clip['path']}"
        audio.append(f"{path}\t{lang}")
        gold.append(speech(meaning, lang, path, clip["speaker12"]))
        texts.append((meaning, lang, clip["sentence"]))
        if clip["en_translation"]:
            texts.append((meaning, "eng", clip["en_translation"]))
    write_texts(output, texts, gold, ntrex(data), DISTRACTORS, judged)
    (output / "audio.tsv").write_text("\n".join(audio) + "\n", encoding="utf-8")
    foreign = sorted({f"{lang}-eng" for meaning, lang, _ in texts
                      for other, target, _ in texts
                      if meaning == other and target == "eng" and lang != "eng"})  # fmt: skip
    langs = sorted({lang for _, lang, _ in texts})
    return {
        "corpora": {
            "clips": {
                "modality": "speech",
                "format": "tsv",
                "uri": str(output / "audio.tsv"),
                "audio_root": str(data / "commonvoice"),
                "lang": {"column": "lang"},
                "speech": {"segment": "recording"},
            },
            "texts": {"uri": str(output / "texts.tsv"), "lang": {"column": "lang"}},
        },
        "tasks": {
            "own": {"source": "clips", "target": "texts", "langs": [f"{la}-{la}" for la in langs]},
            "english": {"source": "clips", "target": "texts", "langs": foreign},
        },
    }


def _meaning(clip: dict[str, str]) -> str:
    return f"{code_of(clip['lang'])} {clip['sentence']}"


def prompts(data: Path, output: Path, recogniser: str | None) -> dict[str, object]:
    """Prompts in five languages; which ones a language lacks is drawn for each side."""
    found = [row for row in read_table(data / "prompts/index.tsv") if is_drawn(row["prompt_id"])]
    gold, texts, audio = [], [], ["path\tlang"]
    for prompt in found:
        meaning, lang = prompt["prompt_id"], prompt["lang"]
        if not lacks("speech", lang, meaning):
            audio.append(f"{prompt['path']}\t{lang}")
            gold.append(speech(meaning, lang, prompt["path"]))
        if not lacks("text", lang, meaning):
            texts.append((meaning, lang, prompt["text"]))
    write_texts(output, texts, gold, {}, 0)
    (output / "audio.tsv").write_text("\n".join(audio) + "\n", encoding="utf-8")
    return {
        "corpora": {
            "voices": {
                "modality": "speech",
                "format": "tsv",
                "uri": str(output / "audio.tsv"),
                "audio_root": str(data / "prompts"),
                "lang": {"column": "lang"},
                "speech": {"segment": "recording"},
            },
            "texts": {"uri": str(output / "texts.tsv"), "lang": {"column": "lang"}},
        },
        "tasks": {
            "st": {"source": "voices", "target": "texts", "langs": "all"},
            "ss": {"source": "voices", "target": "voices", "langs": "all_unordered"},
        },
    }


def quechua(data: Path, output: Path, recogniser: str | None) -> dict[str, object]:
    """30 utterances in a language that no recogniser here knows: taken for Spanish."""
    gold, texts = [], []
    for row in read_table(data / "quechua/index.tsv"):
        gold.append(speech(row["path"], "que", row["path"]))
        texts.append((row["path"], "spa", row["translation_es"]))
    write_texts(output, texts, gold, ntrex(data), DISTRACTORS)
    return {
        "corpora": {
            "utterances": {
                "modality": "speech",
                "format": "tsv",
                "uri": str(data / "quechua/index.tsv"),
                "lang": "que",
                "speech": {"segment": "recording"},
                **({"recogniser": {"path": recogniser, "language": "spa"}} if recogniser else {}),
            },
            "texts": {"uri": str(output / "texts.tsv"), "lang": {"column": "lang"}},
        },
        "tasks": {"st": {"source": "utterances", "target": "texts", "langs": ["que-spa"]}},
    }


PROBLEMS: dict[str, Callable[[Path, Path, str | None], dict[str, object]]] = {
    "common_voice": common_voice,
    "held_out": held_out,
    "unlabelled": unlabelled,
    "prompts": prompts,
    "quechua": quechua,
}


def read_table(path: Path) -> Rows:
    """Rows of a tab-separated file with a header."""
    if not path.is_file():
        raise SystemExit(f"{path}: must be there, but is not; README.md says how DATA is laid out")
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))


def code_of(locale: str) -> str:
    """Language code of a locale."""
    found = canonical_language(locale)
    if found is None:
        raise SystemExit(f"{locale!r} is no language code")
    return found


def ntrex(data: Path) -> dict[str, list[str]]:
    """Lines of each language, by its code."""
    found = {}
    for path in sorted((data / "text/ntrex").glob("newstest2019-*.txt")):
        match = _NTREX.fullmatch(path.name)
        if match:
            lines = path.read_text(encoding="utf-8").splitlines()
            found[code_of(match.group(1))] = [line.strip() for line in lines if line.strip()]
    return found


def speech(meaning: str, lang: str, audio: str, speaker: str = "") -> dict[str, str]:
    """A gold row of a whole recording."""
    return {
        "meaning_id": meaning, "lang": lang, "modality": "speech", "text": "",
        "source_uri": audio, "start_s": "", "end_s": "", "speaker": speaker,
    }  # fmt: skip


def is_drawn(meaning: str) -> bool:
    """Whether a prompt is among those that are judged: 2 of 5, so that a laptop is done in minutes."""
    return hashlib.sha256(meaning.encode()).digest()[0] % 5 < 2


def lacks(side: str, lang: str, meaning: str) -> bool:
    """Whether a prompt is left out of one side of a language: drawn by a hash."""
    digest = hashlib.sha256(f"{side} {lang} {meaning}".encode()).digest()
    return digest[0] % _LACKING == 0


def beginning(text: str, length: int) -> str:
    """The beginning of a text, about ``length`` characters, whole words where there are spaces."""
    if len(text) <= length:
        return text
    cut = text[: length + 1].rfind(" ")
    return text[:cut] if cut > length // 2 else text[:length]


def write_texts(
    output: Path,
    texts: Sequence[tuple[str, str, str]],
    gold: Sequence[dict[str, str]],
    others: dict[str, list[str]],
    distractors: int,
    judged: frozenset[str] | None = None,
) -> None:
    """Write ``texts.tsv`` and ``gold.tsv``; of the latter meanings that are not ``judged`` are left out.

    Distractors are beginnings of other sentences, each as long as a gold text drawn at random, so
    that length does not tell them apart.
    """
    rows = {(lang, text) for _, lang, text in texts}
    for lang in sorted({lang for _, lang, _ in texts}):
        lengths = sorted(len(text) for _, one, text in texts if one == lang)
        rng = np.random.default_rng(7)
        for text in others.get(lang, [])[:distractors]:
            rows.add((lang, beginning(text, int(rng.choice(lengths)))))
    lines = ["lang\ttext", *(f"{lang}\t{text}" for lang, text in sorted(rows))]
    (output / "texts.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    names = list(speech("", "", ""))
    blank = dict.fromkeys(names, "")
    every = [
        *gold,
        *(
            {**blank, "meaning_id": m, "lang": la, "modality": "text", "text": t}
            for m, la, t in texts
        ),
    ]
    with (output / "gold.tsv").open("w", encoding="utf-8", newline="") as stream:
        stream.write("\t".join(names) + "\n")
        for row in every:
            if judged is None or row["meaning_id"] in judged:
                stream.write("\t".join(row[name] for name in names) + "\n")


if __name__ == "__main__":
    main()
