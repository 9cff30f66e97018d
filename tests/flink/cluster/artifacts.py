"""The jars of the cluster, fetched once into a folder that git does not see."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
_CACHE = HERE.parents[2] / ".flink"
JOB_SERVER = "job-server.jar"
_OPENED = ("java.lang", "java.util", "java.time", "java.util.concurrent")


class MissingToolError(Exception):
    """Something that must be installed before, and what to install."""


def require_java() -> None:
    """Java and Maven must be there.

    Raises:
        MissingToolError: saying what to install.
    """
    for program, package in (("java", "a Java runtime, 11 or 17"), ("mvn", "Maven 3.8 or newer")):
        if shutil.which(program) is None:
            raise MissingToolError(f"no {program} on PATH: install {package}")


def jars() -> Path:
    """A folder with every jar, and the job server's that names those it needs.

    Raises:
        MissingToolError: if Java or Maven is missing.
        subprocess.CalledProcessError: if Maven fails; it has said why.
    """
    require_java()
    pom = HERE / "pom.xml"
    version = hashlib.sha256(pom.read_bytes()).hexdigest()[:12]
    cache = Path(os.environ.get("MINING_FLINK_CACHE", _CACHE))
    folder = cache / version
    if folder.is_dir():
        return folder
    fresh = cache / f"{version}.{os.getpid()}"
    shutil.rmtree(fresh, ignore_errors=True)
    subprocess.run(
        ["mvn", "--batch-mode", "--quiet", "--file", pom, "dependency:copy-dependencies",
         f"-DoutputDirectory={fresh}", "-DincludeScope=runtime"],
        check=True,
    )  # fmt: skip
    _write_job_server(fresh)
    try:
        fresh.rename(folder)
    except OSError:  # another process was faster
        if not folder.is_dir():
            raise
        shutil.rmtree(fresh)
    return folder


def add_opens() -> list[str]:
    """What Beam and Flink look into of Java's own modules."""
    return [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED]


def job_server_class_path(folder: Path) -> tuple[list[str], str]:
    """What a job server loads, so that a job takes little of it along.

    It sends each job every jar of its class path, although the cluster has them all: 160 jars take
    15 seconds, one after another. What is on the boot class path stays behind; Flink's own
    classes do not work from there.

    Returns:
        The jars of its class path, and the Java option with all others.
    """
    sent = sorted(path for path in folder.glob("*flink*.jar") if "flink-shaded" not in path.name)
    kept = sorted(set(folder.glob("*.jar")) - set(sent) - {folder / JOB_SERVER})
    return [str(path) for path in sent], f"-Xbootclasspath/a:{':'.join(map(str, kept))}"


def _write_job_server(folder: Path) -> None:
    """A jar that ``java -jar`` takes, as Beam's ``--flink_job_server_jar`` must be."""
    names = " ".join(Path(path).name for path in job_server_class_path(folder)[0])
    opened = " ".join(f"java.base/{package}" for package in _OPENED)
    lines = (
        "Manifest-Version: 1.0",
        "Main-Class: org.apache.beam.runners.flink.FlinkJobServerDriver",
        f"Add-Opens: {opened}",
        f"Class-Path: {names}",
    )
    text = "".join(f"{_folded(line)}\r\n" for line in lines)
    with zipfile.ZipFile(folder / JOB_SERVER, "w") as jar:
        jar.writestr("META-INF/MANIFEST.MF", text)


def _folded(line: str) -> str:
    """A manifest's lines hold 72 bytes; what follows begins with a blank."""
    pieces = [line[:72], *(line[i : i + 71] for i in range(72, len(line), 71))]
    return "\r\n ".join(pieces)
