"""Festival: many sentences in one program, which takes half a second to start."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Voice:
    """A voice of Festival.

    Attributes:
        name: of its Scheme function, without ``voice_``.
        encoding: of the text that it reads.
    """

    name: str
    encoding: str = "latin-1"


VOICES = {
    # not cmu_us_slt_arctic_hts: its speaker is one of the voices of flite, which judges
    "eng": (Voice(name="kal_diphone"), Voice(name="ked_diphone")),
    "ita": (Voice(name="lp_diphone"), Voice(name="pc_diphone")),
    "cat": (Voice(name="upc_ca_ona_hts"),),
    "rus": (Voice(name="msu_ru_nsh_clunits", encoding="utf-8"),),
}


def say_all(
    texts: Sequence[str], voice: Voice, stretch: float
) -> tuple[list[NDArray[np.float32]], int]:
    """Samples of each sentence, float32 [T], empty where the voice fails, and their rate in Hz."""
    with tempfile.TemporaryDirectory() as folder:
        lines = [f"(voice_{voice.name})", f"(Parameter.set 'Duration_Stretch {stretch:.2f})"]
        for number, text in enumerate(texts):
            words = text.replace("’", "'").replace("\\", " ").replace('"', " ")
            save = f'(utt.save.wave (utt.synth (Utterance Text "{words}")) "{folder}/{number}.wav")'
            lines.append(f"(unwind-protect {save} nil)")
        script = Path(folder, "say.scm")
        script.write_bytes("\n".join(lines).encode(voice.encoding, errors="ignore"))
        subprocess.run(["festival", "-b", str(script)], check=False, capture_output=True)
        sounds, rate_hz = [], 16000
        for number in range(len(texts)):
            path = Path(folder, f"{number}.wav")
            if path.is_file():
                sound, rate_hz = soundfile.read(path, dtype="float32")
                sounds.append(sound)
            else:
                sounds.append(np.zeros(0, np.float32))
    return sounds, rate_hz
