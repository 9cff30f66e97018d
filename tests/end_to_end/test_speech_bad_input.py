"""Recordings that are none, recognisers that are none or hear nothing, settings of texts."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.end_to_end.conftest import Outcome
from tests.end_to_end.speech_world import SpeechWorld
from tests.end_to_end.test_bad_input import reasons, refused
from tests.end_to_end.test_speech_run import mined

Cli = Callable[..., Outcome]

pytestmark = pytest.mark.usefixtures("no_beam")

RATE_HZ = 16000
GOOD = (("eng/kitchen.wav", "eng"), ("deu/harbour.opus", "deu"))
# file: the reason of its reject, and whether any of it is used
BAD = {
    "cut.wav": ("truncated_audio", True),
    "cut.mp3": ("truncated_audio", True),
    "cut.opus": ("truncated_audio", True),
    "cut.flac": ("truncated_audio", True),
    "empty.wav": ("unreadable_audio", False),
    "no-channel.wav": ("unreadable_audio", False),
    "nan.wav": ("unreadable_audio", False),
    "text.wav": ("unreadable_audio", False),
    "header.wav": ("unreadable_audio", False),
    "silence.wav": ("no_speech", False),
    "tones.flac": ("no_speech", False),
    "quiet.wav": ("near_silent", False),
    "flac.wav": (None, True),
}


def spoil(audio: Path) -> None:
    """Write the files of :data:`BAD` into the folder ``bad``."""
    import soundfile

    folder = audio / "bad"
    folder.mkdir()
    for name, source in (
        ("cut.wav", "eng/kitchen.wav"),
        ("cut.mp3", "deu/kitchen.mp3"),
        ("cut.opus", "deu/harbour.opus"),
        ("cut.flac", "eng/harbour.flac"),
    ):
        data = (audio / source).read_bytes()
        (folder / name).write_bytes(data[: len(data) * 2 // 3])
    speech, rate_hz = soundfile.read(audio / "eng/kitchen.wav", dtype="float32")
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.wav").write_text("This is a text, whatever its name says.\n" * 50)
    whole = bytearray((audio / "eng/kitchen.wav").read_bytes())
    (folder / "header.wav").write_bytes(whole[:44])
    whole[22:24] = bytes(2)
    (folder / "no-channel.wav").write_bytes(whole)
    broken = speech[rate_hz:].copy()
    broken[5000] = np.nan
    soundfile.write(folder / "nan.wav", broken, rate_hz, subtype="FLOAT")
    soundfile.write(folder / "silence.wav", np.zeros(8 * RATE_HZ, np.float32), RATE_HZ)
    time_s = np.arange(8 * RATE_HZ) / RATE_HZ
    notes = np.array([220.0, 277.2, 329.6, 440.0])[(time_s * 2).astype(int) % 4]
    tone = sum(np.sin(2 * np.pi * notes * n * time_s) / n for n in (1, 2, 3))
    soundfile.write(folder / "tones.flac", 0.2 * tone, RATE_HZ)
    soundfile.write(folder / "quiet.wav", speech[rate_hz:] / 300, rate_hz, subtype="FLOAT")
    shutil.copy(audio / "eng/harbour.flac", folder / "flac.wav")


def test_each_bad_recording_has_its_reason_and_the_rest_is_mined(
    speech: SpeechWorld, mining: Cli
) -> None:
    spoil(speech.audio)
    names = list(BAD)
    speech.speak_only([*GOOD, *((f"bad/{name}", "eng") for name in names)])
    speech.change(tasks={"st": speech.settings["tasks"]["st"]})
    mined(speech, mining)
    found: dict[str, set[str]] = {}
    for row in speech.table("rejects", "prepare", "talks").to_pylist():
        number = int(row["row_id"].rpartition("#")[2].split(".")[0])
        found.setdefault(names[number - len(GOOD)], set()).add(row["reason"])
        assert row["detail"], row
    assert found == {name: {reason} for name, (reason, _) in BAD.items() if reason}
    used = set(speech.table("segments", "talks")["source_uri"].to_pylist())
    wanted = {name for name, _ in GOOD} | {f"bad/{name}" for name, (_, some) in BAD.items() if some}
    assert used == wanted


def test_nothing_but_silence_is_one_line(speech: SpeechWorld, mining: Cli) -> None:
    spoil(speech.audio)
    speech.speak_only(
        [("bad/silence.wav", "eng"), ("bad/tones.flac", "deu"), ("bad/no.wav", "eng")]
    )
    refused(
        mining("run", "--config", speech.config),
        3, "corpora.talks", "must hold at least one segment", "2 rejected.no_speech",
        "1 rejected.missing_audio",
    )  # fmt: skip


def test_recordings_that_are_not_there(speech: SpeechWorld, mining: Cli) -> None:
    run = ("run", "--config", speech.config)
    empty = speech.folder / "empty"
    empty.mkdir()
    (empty / "notes.txt").write_text("no recording\n")
    talks = {"modality": "speech", "lang": "eng"}
    for uri in (empty, speech.folder / "none", speech.folder / "none" / "*.wav"):
        speech.change_corpus(
            "talks", **talks, uri=str(uri), format=None, audio_root=None, columns=None
        )
        refused(mining(*run), 3, str(uri))
    speech.change_corpus("talks", uri=str(speech.folder / "none.tsv"), format="tsv")
    refused(mining(*run), 3, "none.tsv")
    speech.change_corpus("talks", uri=str(speech.folder / "list.tsv"), columns={"audio": "file"})
    refused(mining(*run), 3, "list.tsv", "'file'")


def test_a_recogniser_that_is_none(speech: SpeechWorld, mining: Cli, tmp_path: Path) -> None:
    run = ("run", "--config", speech.config)
    model = speech.settings["model"]
    speech.change(recogniser=None, model={"path": "spelling"})  # which reads text only
    refused(mining(*run), 2, "corpora.talks", "needs a recogniser")
    speech.change(model=model)
    empty = tmp_path / "empty"
    empty.mkdir()
    for path in (tmp_path / "none", empty, Path("builtin")):
        speech.change(recogniser={"path": str(path)})
        refused(mining(*run), 3, path.name)
    speech.change(recogniser={"path": "x", "language": "klingon"})
    refused(mining(*run), 2, "recogniser", "klingon")
    assert not (speech.output / "segments").exists()


def test_a_recogniser_that_hears_nothing(
    speech: SpeechWorld, mining: Cli, tiny_ctc: Path, tmp_path: Path
) -> None:
    from safetensors.numpy import load_file, save_file

    deaf = tmp_path / "deaf"
    shutil.copytree(tiny_ctc, deaf)
    weights = load_file(deaf / "model.safetensors")
    weights["lm_head.bias"][0] = 1e4  # the blank
    save_file(weights, deaf / "model.safetensors", metadata={"format": "pt"})
    speech.change(recogniser={"path": str(deaf)})
    refused(
        mining("run", "--config", speech.config),
        3, "corpora.talks", "must hold at least one segment with a transcript",
        "rejected.no_transcript",
    )  # fmt: skip
    heard = reasons(speech, "transcribe")
    assert heard == {"no_transcript": len(speech.table("occurrences", "talks")) - copies(speech)}
    again = mining("run", "--config", speech.config)
    refused(again, 3, "rejected.no_transcript")

    other = speech.settings["corpora"]["talks"] | {"recogniser": {"path": str(tiny_ctc)}}
    speech.change(corpora=speech.settings["corpora"] | {"talks": other})
    mined(speech, mining)


def copies(world: SpeechWorld) -> int:
    """Occurrences beyond the first."""
    (before,) = [path for path in (world.output / "occurrences/talks").iterdir() if path.is_dir()]
    table = world.table("segments", "talks", before.name)
    return sum(table["occurrences"].to_pylist()) - len(table)


def test_a_gpu_that_is_not_there(speech: SpeechWorld, mining: Cli) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    cuda = ("--set", "execution.device=cuda")
    refused(mining("run", "--config", speech.config, *cuda), 4, "device cuda", "a GPU")
    assert not (speech.output / "segments").exists()


@pytest.mark.parametrize(
    ("corpus", "setting", "words"),
    [
        ("texts", {"speech": {"min_s": 2}}, ("corpora.texts", "modality: speech")),
        ("texts", {"format": "audio"}, ("corpora.texts", "modality: speech")),
        ("texts", {"audio_root": "/audio"}, ("corpora.texts", "modality: speech")),
        ("texts", {"recogniser": {"path": "x"}}, ("corpora.texts", "modality: speech")),
        ("texts", {"lang": {"recognised": True}}, ("corpora.texts", "modality: speech")),
        ("talks", {"segment": "sentences"}, ("corpora.talks", "segment")),
        ("talks", {"min_chars": 5}, ("corpora.talks", "min_chars")),
        ("talks", {"max_chars": 50}, ("corpora.talks", "max_chars")),
        ("talks", {"format": "audio"}, ("lang", "column")),
        ("talks", {"speech": {"channel": -1}}, ("corpora.talks.speech", "channel")),
        ("talks", {"speech": {"min_s": 9, "max_s": 3}}, ("corpora.talks.speech", "min_s")),
        ("talks", {"speech": {"channel": "left"}}, ("corpora.talks.speech.channel",)),
        ("talks", {"lang": {"recognised": True, "column": "lang"}}, ("corpora.talks.lang",)),
        ("talks", {"modality": "sound"}, ("corpora.talks.modality",)),
    ],
)
def test_settings_of_the_other_modality(
    speech: SpeechWorld,
    mining: Cli,
    corpus: str,
    setting: dict[str, object],
    words: tuple[str, ...],
) -> None:
    speech.change_corpus(corpus, **setting)
    refused(mining("run", "--config", speech.config), 2, *words)
    assert not (speech.output / "segments").exists()


def test_both_modalities_on_one_side_are_refused(speech: SpeechWorld, mining: Cli) -> None:
    speech.change(tasks={"both": {"source": ["talks", "texts"], "target": "texts"}})
    refused(mining("run", "--config", speech.config), 2, "tasks.both", "all text or all speech")


def test_vectors_by_id_need_recordings_with_ids(speech: SpeechWorld, mining: Cli) -> None:
    np.save(speech.folder / "v.npy", np.eye(8, dtype=np.float32))
    (speech.folder / "v.ids").write_text("\n".join(f"r{n}" for n in range(8)) + "\n")
    speech.change(model={"path": str(speech.folder / "v.npy")})
    refused(mining("run", "--config", speech.config), 2, "speech.segment: recording")
