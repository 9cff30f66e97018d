"""The pieces of the experiment, each of which is there whole or is made again."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from corpus import (
    SPOKEN,
    TEXTS,
    UNSEEN,
    Sentence,
    Text,
    load_sentences,
    read_sentences,
    save_sentences,
    speakable,
)
from corpus import text_pairs as known_from_text
from judging import Case, judged, shared_letters, write_judged
from lessons import Heard, Pace, speech_pairs, teach, text_pairs
from recogniser import Source, heard_as, load_units, trained
from recordings import (
    JUDGING_VARIANTS,
    LEARNING_VARIANTS,
    common_voice,
    load_recordings,
    prompts,
    save_recordings,
    synthesised,
)
from tower import new_encoder

from encoders.audio_tokens.load import describe_audio_tokenizer
from encoders.dual.config import Tie

SENTENCES = 1500  # of a language that are spoken, to learn from
JUDGED = 500  # of a language that are spoken, to judge
READ = 10_000  # of a language that are read
STEPS = 1500  # of the recogniser

TIES: tuple[Tie, ...] = ("own", "spelling")
WITHOUT, WITH = "without", "with"  # speech of the languages that are judged
_LEARNED = "learned"  # ends the names of recordings that are learned from
_PROMPTED = ("eng", "fra", "spa", "ita", "rus")

Piece = partial[None]


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where is what."""

    data: Path
    output: Path

    def recordings(self, name: str) -> Path:
        """Recordings of a language and a kind, ``<lang>-<kind>``."""
        return self.output / "speech" / name

    def sentences(self, lang: str) -> Path:
        """Sentences that are read, as letters."""
        return self.output / "text" / f"{lang}.tsv"

    def recogniser(self, name: str) -> Path:
        """A recogniser; ``tokenizer`` and ``heard`` are in it."""
        return self.output / "recogniser" / name

    def results(self, name: str) -> Path:
        """Figures of one encoder, or of shared letters."""
        return self.output / "results" / f"{name}.tsv"


def kinds(lang: str) -> list[str]:
    """What recordings there are of a language: synthetic ones, people's clips and prompts."""
    people = ["clips", *(["prompts"] if lang in _PROMPTED else [])]
    if lang in SPOKEN:
        return [f"synthetic-{_LEARNED}", *(f"{kind}-{_LEARNED}" for kind in people)]
    return [f"synthetic-{_LEARNED}", "synthetic", *people]


def speech(places: Places) -> list[Piece]:
    """Recordings of each language."""
    return [
        partial(record, places, lang)
        for lang in (*UNSEEN, *SPOKEN)
        if not places.recordings(f"{lang}-{kinds(lang)[-1]}").with_suffix(".npz").is_file()
    ]


def record(places: Places, lang: str) -> None:
    """Choose the sentences of a language, and make all its recordings."""
    found = read_sentences(places.data / "text/packages", lang)
    save_sentences(places.sentences(lang), found.learned[:READ])
    for kind in kinds(lang):
        if kind == f"synthetic-{_LEARNED}":
            made = synthesised(lang, speakable(found.learned, SENTENCES), LEARNING_VARIANTS, 0)
        elif kind == "synthetic":
            made = synthesised(lang, speakable(found.judged, JUDGED), JUDGING_VARIANTS, 1)
        else:
            made = (common_voice if kind.startswith("clips") else prompts)(places.data, lang)
        save_recordings(places.recordings(f"{lang}-{kind}"), made)


def hearing(places: Places) -> list[Piece]:
    """Two recognisers: without and with speech of the languages that are judged."""
    return [
        partial(listen, places, name)
        for name in (WITHOUT, WITH)
        if not places.results(f"letters-{name}").is_file()
    ]


def listen(places: Places, name: str) -> None:
    """Train a recogniser, hear all recordings that it may, and judge by shared letters alone."""
    sources = [
        Source(int(not kind.startswith("synthetic")), lang, places.recordings(f"{lang}-{kind}"))
        for lang, kind in _heard_by(name)
        if kind.endswith(_LEARNED)
    ]
    model = trained(sources, STEPS, places.recogniser(name))
    names = [f"{lang}-{kind}" for lang, kind in _heard_by(name)]
    wanted = {one: load_recordings(places.recordings(one)) for one in names}
    heard_as(wanted, model, places.recogniser(name) / "heard")
    rows = [row for case in _cases(places, name) for row in shared_letters(case)]
    write_judged(places.results(f"letters-{name}"), rows)


def encoders(places: Places, seeds: int) -> list[Piece]:
    """Dual encoders of every kind; the topline knows all there is."""
    told = [(WITHOUT, text, tie) for text in TEXTS for tie in TIES]
    told += [(WITH, "parallel", tie) for tie in TIES]
    return [
        partial(learn, places, *one, seed)
        for seed, one in itertools.product(range(seeds), told)
        if not places.results("-".join([*one, str(seed)])).is_file()
    ]


def learn(places: Places, recogniser: str, text: Text, tie: Tie, seed: int) -> None:
    """Train and judge one dual encoder.

    Args:
        places: of the experiment.
        recogniser: ``without`` or ``with`` speech of the languages that are judged; the encoder has
            heard what the recogniser has.
        text: what is known of those languages from text.
        tie: whether letters that are heard are read as text.
        seed: of weights, noise and batches.
    """
    rng = np.random.default_rng(seed)
    pairs = {}
    for lang in (*SPOKEN, *UNSEEN):
        learned = load_sentences(places.sentences(lang))
        pairs[lang] = known_from_text(learned, text if lang in UNSEEN else "parallel", rng)
    del pairs["eng"]
    names = [name for name in _heard_by(recogniser) if name[1].endswith(_LEARNED)]
    heard = [_heard(places, recogniser, *name) for name in names]
    tokenizer = places.recogniser(recogniser) / "tokenizer"
    model = new_encoder(describe_audio_tokenizer(tokenizer), tokenizer, tie, seed)
    teach(model, [*speech_pairs(heard), text_pairs(pairs)], Pace(), seed)
    rows = [row for case in _cases(places, recogniser) for row in judged(model, case)]
    write_judged(places.results(f"{recogniser}-{text}-{tie}-{seed}"), rows)


def _heard_by(recogniser: str) -> list[tuple[str, str]]:
    """Language and kind of the recordings that a recogniser hears."""
    return [
        (lang, kind)
        for lang in (*SPOKEN, *UNSEEN)
        for kind in kinds(lang)
        if recogniser == WITH or lang in SPOKEN or not kind.endswith(_LEARNED)
    ]


def _heard(places: Places, recogniser: str, lang: str, kind: str) -> Heard:
    name = f"{lang}-{kind}"
    return Heard(
        lang=lang,
        units=load_units(places.recogniser(recogniser) / "heard" / f"{name}.npz"),
        said=load_recordings(places.recordings(name)).said,
    )


def _cases(places: Places, recogniser: str) -> list[Case]:
    """Speech that judges; that of people in a pool with the sentences of the synthetic one."""
    found = []
    for lang in UNSEEN:
        others: list[Sentence] = load_recordings(places.recordings(f"{lang}-synthetic")).said
        for kind in kinds(lang)[1:]:
            heard = _heard(places, recogniser, lang, kind)
            found.append(Case(kind=kind, heard=heard, others=others))
    return found
