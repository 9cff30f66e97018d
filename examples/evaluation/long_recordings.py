"""Make a mining problem out of long recordings: chapters against their own sentences among 5,000.

Where a recording comes with the times of its sentences (SMIL), they are the gold. Where it comes with
its text only, the text is aligned with what the recogniser says, word by word, and a sentence's
times are those of its first and last word: good enough to say which stretch it is, but not an
independent judge of boundaries, so those figures are printed for the SMIL chapter apart.

    python examples/evaluation/long_recordings.py DATA out/long --recogniser models/whisper-base
    mining run --config out/long/chapters/run.yaml --set model.path=spelling
    mining evaluate --config out/long/chapters/run.yaml --set model.path=spelling

``chapters`` are novels and tales, ``fragments`` the lines of a title page and of poems.
"""

from __future__ import annotations

import argparse
import gzip
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import soundfile
import yaml

from encoders.recognise import load_recogniser
from mining.config.model import Speech
from mining.contract.speech import SPEECH_RATE_HZ, Word
from mining.speech.audio import open_audio
from mining.speech.detect import SileroDetector
from mining.speech.packing import pack_clips
from mining.speech.regions import speech_regions
from mining.speech.stream import at_speech_rate, mono
from mining.text import split_sentences

OTHERS = 5000
_LEAST_WORDS = 0.6  # share of a sentence's words that must be recognised to give it times
_LETTERS = re.compile(r"\w+")


@dataclass(frozen=True)
class Book:
    """A recording and its text, whole sentences or the fragments of a title page and a poem."""

    audio: str
    text: str
    lang: str
    corpus: str


BOOKS = (
    Book("mobydick_1.mp3", "moby_chapter_001.xhtml", "eng", "chapters"),
    Book("crimsonfairybook_29_lang_64kb.mp3", "crimsonfairybook_29.txt", "eng", "chapters"),
    Book("crimsonfairybook_30_lang_64kb.mp3", "crimsonfairybook_30.txt", "eng", "chapters"),
    Book("aeneas_en.mp3", "aeneas_en.txt", "eng", "fragments"),
    Book("aeneas_de.mp3", "aeneas_de.txt", "deu", "fragments"),
    Book("aeneas_es.mp3", "aeneas_es.txt", "spa", "fragments"),
)
_SMIL = {"moby_chapter_001.xhtml": "moby_chapter_001_overlay.smil"}


@dataclass(frozen=True)
class Timed:
    """A sentence and where it is read, in seconds."""

    text: str
    start_s: float
    end_s: float


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of the real recordings and texts")
    parser.add_argument("output", type=Path)
    parser.add_argument("--recogniser", required=True, help="model folder, or a hub's name")
    arguments = parser.parse_args()
    data, output = arguments.data.absolute(), arguments.output
    output.mkdir(parents=True, exist_ok=True)
    for corpus in sorted({book.corpus for book in BOOKS}):
        books = [book for book in BOOKS if book.corpus == corpus]
        (output / corpus).mkdir(parents=True, exist_ok=True)
        write(books, data, output / corpus, arguments.recogniser)


def write(books: Sequence[Book], data: Path, output: Path, recogniser: str) -> None:
    """Recordings, texts, gold and config of one problem."""
    langs = sorted({book.lang for book in books})
    names = ["meaning_id", "lang", "modality", "text", "source_uri", "start_s", "end_s"]
    gold, texts, audio = ["\t".join(names)], ["lang\ttext"], ["path\tlang"]
    for book in books:
        sentences = timed_sentences(data / "long", book, recogniser)
        audio.append(f"{book.audio}\t{book.lang}")
        for number, one in enumerate(sentences):
            meaning = f"{book.text} {number}"
            place = f"{one.start_s:.3f}\t{one.end_s:.3f}"
            gold.append(f"{meaning}\t{book.lang}\tspeech\t\t{book.audio}\t{place}")
            gold.append(f"{meaning}\t{book.lang}\ttext\t{one.text}\t\t\t")
            texts.append(f"{book.lang}\t{one.text}")
        print(f"{book.audio}: {len(sentences)} sentences with times")
    for lang in langs:
        texts += [f"{lang}\t{text}" for text in others(data / "text", lang)]
    for name, lines in (("gold", gold), ("texts", texts), ("audio", audio)):
        (output / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = {
        "schema": 1,
        "output": str(output / "run"),
        "model": {"path": "use-multilingual"},
        "recogniser": {"path": recogniser},
        "corpora": {
            "books": {
                "modality": "speech",
                "format": "tsv",
                "uri": str(output / "audio.tsv"),
                "audio_root": str(data / "long"),
                "lang": {"column": "lang"},
                # titles and sentences of novels: one of these is read in 34 seconds
                "speech": {"min_s": 0.5, "max_s": 40.0, "max_joined": 24},
            },
            "texts": {"uri": str(output / "texts.tsv"), "lang": {"column": "lang"}},
        },
        "tasks": {
            "st": {"source": "books", "target": "texts", "langs": [f"{la}-{la}" for la in langs]}
        },
        "mining": {"threshold": "none"},
        "contamination": {"sets": []},
        "evaluate": {"gold": str(output / "gold.tsv")},
    }
    (output / "run.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


def others(folder: Path, lang: str) -> list[str]:
    """5,000 sentences that nobody reads here: news, encyclopedia, a game's stories."""
    code = {"eng": "src.eng", "deu": "ref.deu", "spa": "ref.spa"}[lang]
    script = f"{lang}_Latn.dev"
    found = (folder / f"ntrex/newstest2019-{code}.txt").read_text(encoding="utf-8").splitlines()
    found += (folder / "flores200_dev" / script).read_text(encoding="utf-8").splitlines()
    with gzip.open(folder / f"packages/story_game/{lang}.tsv.gz", "rt", encoding="utf-8") as stream:
        found += [line.rstrip("\n").split("\t")[1] for line in list(stream)[1:]]
    clean = [line.strip() for line in found if line.strip() and "$" not in line]
    return list(dict.fromkeys(clean))[:OTHERS]


def timed_sentences(folder: Path, book: Book, recogniser: str) -> list[Timed]:
    """The sentences of a book that are read, with their times."""
    if book.text in _SMIL:
        found = from_smil(folder / _SMIL[book.text], folder / book.text)
        length_s = soundfile.info(folder / book.audio).duration
        return [one for one in found if one.end_s <= length_s]  # the recording is an excerpt
    text = (folder / book.text).read_text(encoding="utf-8")
    if "|" in text:  # one fragment a line, with an id
        sentences = [line.partition("|")[2].strip() for line in text.splitlines() if "|" in line]
    else:
        paragraphs = (" ".join(part.split()) for part in re.split(r"\n\s*\n", text))
        sentences = [s for part in paragraphs for s in split_sentences(part, book.lang)]
    return aligned(sentences, words_of(folder / book.audio, book.lang, recogniser))


def from_smil(smil: Path, chapter: Path) -> list[Timed]:
    """Sentences that a SMIL overlay gives a time; single words in a row are one sentence."""
    page = chapter.read_text(encoding="utf-8")
    found: list[Timed] = []
    pattern = r'<text src="[^"#]*#([^"]+)"/>\s*<audio [^>]*clipBegin="([^"]+)" clipEnd="([^"]+)"'
    last_was_word = False
    for name, begin, end in re.findall(pattern, smil.read_text(encoding="utf-8")):
        match = re.search(rf'id="{re.escape(name)}"[^>]*>(.*?)</', page, flags=re.DOTALL)
        text = (
            " ".join(html.unescape(re.sub(r"<[^>]*>", " ", match.group(1))).split())
            if match
            else ""
        )
        is_word = re.search(r"w\d+$", name) is not None
        if is_word and last_was_word:
            before = found.pop()
            found.append(Timed(f"{before.text} {text}", before.start_s, seconds(end)))
        elif text:
            found.append(Timed(text, seconds(begin), seconds(end)))
        last_was_word = is_word
    return found


def seconds(clock: str) -> float:
    """Seconds of a SMIL clock value such as ``0:01:24.300``."""
    hours, minutes, rest = clock.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


def words_of(path: Path, lang: str, recogniser: str) -> list[Word]:
    """All words of a recording, with times in it."""
    with open_audio(path) as stream:
        blocks = at_speech_rate(mono(stream.blocks(), None), stream.sample_rate_hz)
        samples = np.concatenate(list(blocks))
    settings = Speech()
    regions = speech_regions(SileroDetector().probabilities([samples]), len(samples), settings)
    clips = pack_clips(regions[:, 0], regions[:, 1], SPEECH_RATE_HZ, 28.0, settings.max_gap_s)
    model, words = load_recogniser(recogniser), list[Word]()
    for first, last in clips.tolist():
        start, end = regions[first, 0], regions[last, 1]
        offset = float(start) / SPEECH_RATE_HZ
        for word in model.transcribe([samples[start:end]], lang)[0].words:
            words.append(
                Word(
                    text=word.text,
                    start_s=word.start_s + offset,
                    end_s=word.end_s + offset,
                    logprob=word.logprob,
                    tokens=word.tokens,
                )
            )
    return words


def aligned(sentences: Sequence[str], words: Sequence[Word]) -> list[Timed]:
    """Sentences most of whose words stand among the recognised ones in the same order."""
    wanted = [(w.casefold(), i) for i, s in enumerate(sentences) for w in _LETTERS.findall(s)]
    heard = [(w.casefold(), word) for word in words for w in _LETTERS.findall(word.text)]
    matcher = SequenceMatcher(None, [w for w, _ in wanted], [w for w, _ in heard], autojunk=False)
    spoken: dict[int, list[Word]] = {}
    for block in matcher.get_matching_blocks():
        for step in range(block.size):
            spoken.setdefault(wanted[block.a + step][1], []).append(heard[block.b + step][1])
    found = []
    for i, sentence in enumerate(sentences):
        hits = spoken.get(i, [])
        if len(hits) >= max(1.0, _LEAST_WORDS * len(_LETTERS.findall(sentence))):
            found.append(Timed(sentence, hits[0].start_s, hits[-1].end_s))
    return found


if __name__ == "__main__":
    main()
