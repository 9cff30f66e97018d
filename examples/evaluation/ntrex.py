"""Make a mining problem out of NTREX: 665 gold pairs among 666 unpaired sentences a side.

NTREX (Federmann et al. 2022, CC BY-SA 4.0) holds 1,997 sentences in many languages. Of every three
lines the third is gold, the first stands on the foreign side only, the second on the English side
only. It is for judging: never train or calibrate on it.

    python examples/evaluation/ntrex.py FOLDER out/ntrex
    mining run --config out/ntrex/builtin.yaml
    mining evaluate --config out/ntrex/builtin.yaml
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import yaml

from mining.contract.languages import canonical_language

_NAME = re.compile(r"newstest2019-(?:src|ref)\.(.+)\.txt")
_MODELS = ("builtin", "use-multilingual")
_SOURCE_ONLY, _TARGET_ONLY, _GOLD = 0, 1, 2  # line number modulo 3


def read(folder: Path) -> dict[str, list[str]]:
    """Lines of each language, by its code; the files end lines with CR LF."""
    found = {}
    for path in sorted(folder.glob("newstest2019-*.txt")):
        match = _NAME.fullmatch(path.name)
        code = canonical_language(match.group(1)) if match else None
        if code is None:
            raise SystemExit(f"{path}: the name holds no language code")
        text = path.read_text(encoding="utf-8").removesuffix("\n")
        found[code] = [line.rstrip("\r") for line in text.split("\n")]
    if len({len(lines) for lines in found.values()}) != 1 or "eng" not in found:
        raise SystemExit(
            f"{folder}: must hold NTREX files with equally many lines, English among them"
        )
    return found


def write(lines: dict[str, list[str]], folder: Path) -> None:
    """Corpora, gold, and a config for each model."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[str]] = {"foreign": ["lang\ttext"], "english": ["lang\ttext"]}
    gold = ["meaning_id\tlang\ttext"]
    for lang, texts in sorted(lines.items()):
        side, other = ("english", _SOURCE_ONLY) if lang == "eng" else ("foreign", _TARGET_ONLY)
        for number, text in enumerate(texts):
            if number % 3 != other:
                rows[side].append(f"{lang}\t{text}")
            if number % 3 == _GOLD:
                gold.append(f"{number}\t{lang}\t{text}")
    for name, content in (*rows.items(), ("gold", gold)):
        (folder / f"{name}.tsv").write_text("\n".join(content) + "\n", encoding="utf-8")
    for model in _MODELS:
        config = {
            "schema": 1,
            "output": str(folder / model),
            "model": {"path": model},
            "corpora": {
                side: {"uri": str(folder / f"{side}.tsv"), "lang": {"column": "lang"}}
                for side in rows
            },
            "tasks": {"ntrex": {"source": "foreign", "target": "english", "langs": "all"}},
            # the threshold of best F1 is found by the evaluation (BUCC's rule)
            "mining": {"k": 4, "margin": "ratio", "select": "max", "threshold": "none"},
            # this is an evaluation set itself
            "contamination": {"sets": []},
            "evaluate": {"gold": str(folder / "gold.tsv")},
        }
        text = yaml.safe_dump(config, sort_keys=False)
        (folder / f"{model}.yaml").write_text(text, encoding="utf-8")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("ntrex", type=Path, help="folder with newstest2019-src.eng.txt and others")
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    write(read(arguments.ntrex), arguments.output)


if __name__ == "__main__":
    main()
