"""Everything that the rounds begin with.

    python examples/rounds/prepare.py DATA SPEECH OUT --langs ind ita spa

DATA is laid out as in ``examples/evaluation/README.md``, SPEECH holds ``synthetic.tsv`` of
``examples/builtin_ears``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import yaml

EXAMPLES = Path(__file__).resolve().parents[1]
sys.path.append(str(EXAMPLES / "real_parts"))
from judged import own_task  # noqa: E402
from seeds import write_synthetic  # noqa: E402

_CLIPS, _LONGEST_S = 100, 12.0


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("data", "speech", "output"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--langs", nargs="+", default=[], help="codes; none: all 22")
    told = parser.parse_args()
    told.output.mkdir(parents=True, exist_ok=True)
    drawn = told.output / "synthetic.tsv"
    langs = frozenset(told.langs)
    write_synthetic(told.speech / "synthetic.tsv", langs, _CLIPS, _LONGEST_S, drawn)
    script, problem = EXAMPLES / "evaluation/speech.py", told.output / "problem"
    command = [sys.executable, script, "unlabelled", told.data, problem]
    found = subprocess.run(command, check=False).returncode
    if found:
        raise SystemExit(found)
    config = yaml.safe_dump(own_task(problem, langs), sort_keys=False)
    (problem / "run.yaml").write_text(config, encoding="utf-8")


if __name__ == "__main__":
    main()
