"""Speak the sample: recordings and the times of their sentences.

    python examples/sample/speak.py            # write audio/ and speech_gold.tsv
    python examples/sample/speak.py --check    # exit 1 if they are out of date or damaged

Sources, to be edited by hand:

* ``voices.tsv``: the voices, and which synthesiser speaks them;
* ``recordings.tsv``: how each recording sounds;
* ``audio.tsv``: what is said in each recording, in order: by which voice, which sentence (an id
  of ``meanings.tsv`` or ``speech_distractors.tsv``) and the pause after it;
* ``speech_distractors.tsv``: sentences that are spoken and written nowhere.

Speaking needs espeak-ng, flite, festival and their voices (README.md names the packages) and PyAV;
checking needs neither.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import sys
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile
from build import (
    Spoken,
    digest,
    read_distractors,
    read_meanings,
    read_speech_gold,
    read_tsv,
)
from sound import Recording, Samples, SpeakError, Utterance, Voice, assemble, require

HERE = Path(__file__).resolve().parent
BITS_PER_SECOND = 24_000  # of a channel
TOLERANCE_S = 0.001  # times are written with four digits
_CHATTER = 12  # sentences of babble
_MANIFEST_HEADER = ["recording", "sha256", "bytes", "duration_s", "recipe"]


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """Something to say; ``meaning_id`` is empty where it is a distractor."""

    meaning_id: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Script:
    """A recording and all that is said in it; ``meanings`` are empty where there is none."""

    recording: Recording
    utterances: tuple[Utterance, ...]
    meanings: tuple[str, ...]
    chatter: tuple[Utterance, ...]

    @property
    def recipe(self) -> str:
        """Digest of everything that was edited by hand and decides the sound."""
        parts = [str(astuple(self.recording))]
        parts += [str(astuple(u)) for u in (*self.utterances, *self.chatter)]
        return digest(*parts).hex()


def read_scripts(root: Path) -> list[Script]:
    """Read and check the sources.

    Raises:
        SpeakError: if they contradict themselves or each other.
    """
    distractors = read_distractors(
        root / "distractors.tsv", read_meanings(root / "meanings.tsv")[0]
    )
    sentences = _sentences(root)
    voices = _voices(root / "voices.tsv")
    recordings = _recordings(root / "recordings.tsv")
    said: dict[str, list[tuple[str, Utterance]]] = {name: [] for name in recordings}
    header = ["recording", "voice", "sentence", "pause_ms"]
    for name, voice, sentence, pause_ms in _rows(root / "audio.tsv", header):
        where = f"audio.tsv: {name}, {sentence}"
        if name not in recordings or voice not in voices:
            raise SpeakError(f"{where}: recording and voice must be in their tables, but are not")
        lang = recordings[name].lang
        if voices[voice].lang != lang or (sentence, lang) not in sentences:
            raise SpeakError(f"{where}: voice and sentence must be of {lang}, but are not")
        chosen = sentences[sentence, lang]
        utterance = Utterance(voice=voices[voice], text=chosen.text, pause_ms=int(pause_ms))
        said[name].append((chosen.meaning_id, utterance))
    return [
        _script(
            recording,
            said[name],
            [voice for voice in voices.values() if voice.lang == recording.lang],
            [text for lang, text in distractors if lang == recording.lang],
        )
        for name, recording in recordings.items()
    ]


def _script(
    recording: Recording,
    said: Sequence[tuple[str, Utterance]],
    voices: Sequence[Voice],
    others: Sequence[str],
) -> Script:
    """A recording's script; ``voices`` and ``others`` are who babbles and what."""
    texts = others[-_CHATTER:] if recording.noise == "babble" else []
    return Script(
        recording=recording,
        utterances=tuple(utterance for _, utterance in said),
        meanings=tuple(meaning_id for meaning_id, _ in said),
        chatter=tuple(
            Utterance(voice=voices[number % len(voices)], text=text, pause_ms=0)
            for number, text in enumerate(texts)
        ),
    )


def speak(root: Path) -> None:
    """Write all recordings, their manifest and ``speech_gold.tsv``."""
    scripts = read_scripts(root)
    require([u.voice for script in scripts for u in (*script.utterances, *script.chatter)])
    if find_spec("av") is None:
        raise SpeakError("PyAV: must be installed, but is not; install the extra av")
    gold, manifest = [list(Spoken._fields)], [_MANIFEST_HEADER]
    for script in scripts:
        recording = script.recording
        sound, times = assemble(recording, script.utterances, script.chatter)
        data = encode(sound, recording.rate_hz)
        path = root / "audio" / recording.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        duration_s = len(sound) / recording.rate_hz
        sha256 = hashlib.sha256(data).hexdigest()
        manifest.append(
            [recording.name, sha256, str(len(data)), f"{duration_s:.4f}", script.recipe]
        )
        gold += [
            [recording.name, recording.lang, meaning, u.text, f"{start_s:.4f}", f"{end_s:.4f}"]
            for meaning, u, (start_s, end_s) in zip(
                script.meanings, script.utterances, times, strict=True
            )
        ]
        print(f"{recording.name}: {duration_s:.1f} s, {len(data)} bytes")
    _write_tsv(root / "audio" / "manifest.tsv", manifest)
    _write_tsv(root / "speech_gold.tsv", gold)


def encode(sound: Samples, rate_hz: int) -> bytes:
    """Ogg Opus of float32 [T, channels]; the same bytes for the same sound and libraries.

    libsndfile writes Opus too, but draws a new stream number, and so other bytes, each time.
    """
    import av  # heavy, and not needed to check

    channels = sound.shape[1]
    layout = "mono" if channels == 1 else "stereo"
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="ogg", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libopus", rate=rate_hz)
        stream.layout = layout
        stream.bit_rate = BITS_PER_SECOND * channels
        interleaved = np.ascontiguousarray(sound).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(interleaved, format="flt", layout=layout)
        frame.sample_rate = rate_hz
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return buffer.getvalue()


def faults(root: Path) -> list[str]:
    """What is wrong with the recordings and ``speech_gold.tsv``, without speaking anything."""
    scripts = read_scripts(root)
    found = []
    manifest = {row[0]: row for row in _rows(root / "audio" / "manifest.tsv", _MANIFEST_HEADER)}
    gold = read_speech_gold(root)
    names = {script.recording.name for script in scripts}
    present = {path.relative_to(root / "audio").as_posix() for path in (root / "audio").glob("*/*")}
    for name in sorted(names ^ present | names ^ manifest.keys()):
        found.append(
            f"audio/{name}: must be in recordings.tsv, manifest.tsv and audio/, but is not"
        )
    for name in sorted({row.source_uri for row in gold} - names):
        found.append(f"speech_gold.tsv: {name}: must be in recordings.tsv, but is not")
    for script in scripts:
        name = script.recording.name
        if name in present and name in manifest:
            rows = [row for row in gold if row.source_uri == name]
            found += [f"audio/{name}: {fault}" for fault in _faults(script, root, manifest[name])]
            found += [f"speech_gold.tsv: {name}: {fault}" for fault in _gold_faults(script, rows)]
            duration_s = float(manifest[name][3])
            if any(not 0 <= row.start_s < row.end_s <= duration_s for row in rows):
                found.append(f"speech_gold.tsv: {name}: times must lie inside, but do not")
    return found


def _faults(script: Script, root: Path, row: Sequence[str]) -> list[str]:
    """What is wrong with one recording."""
    _, sha256, size_bytes, duration_s, recipe = row
    recording = script.recording
    path = root / "audio" / recording.name
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256 or len(data) != int(size_bytes):
        return ["must be what the manifest says, but has other bytes"]
    info = soundfile.info(path)
    found = []
    if (info.samplerate, info.channels) != (recording.rate_hz, recording.channels):
        found.append("must have the rate and channels of recordings.tsv, but has others")
    if abs(info.frames / info.samplerate - float(duration_s)) > TOLERANCE_S:
        found.append(f"must last {duration_s} s, but lasts {info.frames / info.samplerate:.4f} s")
    if recipe != script.recipe:
        found.append("the tables have changed since it was spoken; run speak.py")
    return found


def _gold_faults(script: Script, rows: Sequence[Spoken]) -> list[str]:
    """What is wrong with the times and texts of one recording."""
    expected = [
        (script.recording.lang, meaning, utterance.text)
        for meaning, utterance in zip(script.meanings, script.utterances, strict=True)
    ]
    if [(row.lang, row.meaning_id, row.text) for row in rows] != expected:
        return ["sentences must be those of audio.tsv in order, but are not"]
    found = []
    for number, (row, following) in enumerate(pairwise(rows), start=1):
        wanted_s = script.utterances[number - 1].pause_ms / 1000
        pause_s = following.start_s - row.end_s
        if number != script.recording.tones_after and abs(pause_s - wanted_s) > TOLERANCE_S:
            found.append(f"pause {number} must last {wanted_s} s, but lasts {pause_s:.4f} s")
    return found


def _rows(path: Path, header: list[str]) -> list[list[str]]:
    found, rows = read_tsv(path)
    if found != header:
        raise SpeakError(f"{path.name}: must have the columns {header}, but has {found}")
    return rows


def _sentences(root: Path) -> dict[tuple[str, str], Sentence]:
    """All that can be said, by id and language."""
    langs, meanings = read_meanings(root / "meanings.tsv")
    written = {text for _, text in read_distractors(root / "distractors.tsv", langs)}
    sentences = {}
    for meaning_id, *texts in meanings:
        for lang, text in zip(langs, texts, strict=True):
            sentences[meaning_id, lang] = Sentence(meaning_id=meaning_id, text=text)
            written.add(text)
    for name, lang, text in _rows(root / "speech_distractors.tsv", ["id", "lang", "text"]):
        if text in written or (name, lang) in sentences or lang not in langs:
            raise SpeakError(
                f"speech_distractors.tsv: {name}: must be new in id and text, and of a language of "
                "meanings.tsv, but is not; change it"
            )
        sentences[name, lang] = Sentence(meaning_id="", text=text)
        written.add(text)
    return sentences


def _voices(path: Path) -> dict[str, Voice]:
    header = ["voice", "lang", "synthesiser", "synthesiser_voice", "rate_percent", "pitch"]
    return {
        name: Voice(
            name=name,
            lang=lang,
            synthesiser=synthesiser,
            voice=voice,
            rate_percent=int(rate_percent),
            pitch=int(pitch),
        )
        for name, lang, synthesiser, voice, rate_percent, pitch in _rows(path, header)
    }


def _recordings(path: Path) -> dict[str, Recording]:
    header = ["recording", "lang", "rate_hz", "channels", "noise", "snr_db", "level_db"]
    return {
        name: Recording(
            name=name,
            lang=lang,
            rate_hz=int(rate_hz),
            channels=int(channels),
            noise=noise,
            snr_db=float(snr_db),
            level_db=float(level_db),
            tones_after=int(tones_after),
        )
        for name, lang, rate_hz, channels, noise, snr_db, level_db, tones_after in _rows(
            path, [*header, "tones_after"]
        )
    }


def _write_tsv(path: Path, rows: Sequence[Sequence[str]]) -> None:
    path.write_bytes("".join("\t".join(row) + "\n" for row in rows).encode("utf-8"))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(description="Speak the sample's recordings.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if something is wrong"
    )
    args = parser.parse_args(argv)
    try:
        if args.check:
            found = faults(HERE)
            for fault in found:
                print(fault, file=sys.stderr)
            return 1 if found else 0
        speak(HERE)
    except (SpeakError, ValueError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
