"""How many letters the recognisers get wrong, of recordings that none was trained on.

    python examples/unseen_language/letter_errors.py OUT

OUT is that of ``run.py``, after its recognisers have heard everything.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pieces import Places
from rapidfuzz.distance import Levenshtein
from recogniser import load_units
from recordings import load_recordings

from encoders.audio_tokens.collapse import collapsed
from encoders.audio_tokens.conv_ctc_network import BLANK
from encoders.audio_tokens.letters import codes


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("output", type=Path)
    places = Places(data=Path(), output=parser.parse_args().output)
    names = ("without", "with")
    for name in names:
        if not (places.recogniser(name) / "heard").is_dir():
            raise SystemExit(f"{places.output}: no recogniser has heard anything; run run.py first")
    print("recogniser\trecordings\tletters\twrong")
    for name in names:
        for path in sorted((places.recogniser(name) / "heard").glob("*.npz")):
            if not path.stem.endswith("-learned"):
                wrong, said = errors(places.output / "speech" / path.stem, path)
                print(f"{name}\t{path.stem}\t{said}\t{wrong / said:.3f}")


def errors(recordings: Path, heard: Path) -> tuple[int, int]:
    """Letters that are missing, added or taken for others, and letters that were said."""
    wrong = letters = 0
    for said, units in zip(load_recordings(recordings).said, load_units(heard), strict=True):
        wanted = codes(said.text).tolist()
        found = collapsed(units, BLANK, merge_repeats=True).tolist()
        wrong += Levenshtein.distance(wanted, found)
        letters += len(wanted)
    return wrong, letters


if __name__ == "__main__":
    main()
