#!/usr/bin/env python3
"""A Flink cluster on this machine: job manager, two task managers, Beam's job server.

    python tests/flink/cluster/cluster.py

brings it up, says how ``mining run`` uses it, and takes it down on Ctrl-C. Tests do the same with
:class:`Cluster`. Every task manager starts SDK processes of its own (:file:`boot.py`).
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

if __package__:
    from tests.flink.cluster.artifacts import JOB_SERVER, add_opens, jars, job_server_class_path
else:
    from artifacts import JOB_SERVER, add_opens, jars, job_server_class_path

HERE = Path(__file__).resolve().parent
_ROOT = HERE.parents[2]
_BOOT = HERE / "boot.py"
_START_S = 60.0
_STOP_S = 10.0
_FLINK = "org.apache.flink.runtime"
_MANAGERS = 2
_JAVA = (
    "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",  # small and soon over
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
)  # fmt: skip


class ClusterError(Exception):
    """The cluster did not come up; says what the process printed last."""


class Cluster:
    """The cluster's processes, each in a process group of its own with the SDK processes it starts.

    Attributes:
        folder: logs and temporary files; ``tm1.log`` also holds what the workers of tm1 log.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._jars = jars()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._groups: list[int] = []
        self._rest, self._rpc, self._jobs, self._artifacts = _free_ports(4)

    def start(self) -> None:
        """Bring it up.

        Raises:
            ClusterError: if a process ends or nothing answers.
        """
        (self.folder / "conf").mkdir(parents=True)
        shutil.copy(HERE / "flink-conf.yaml", self.folder / "conf")
        entrypoint = f"{_FLINK}.entrypoint.StandaloneSessionClusterEntrypoint"
        self._java("jm", self._cluster(384), entrypoint, *self._settings())
        for number in range(1, _MANAGERS + 1):
            self.start_task_manager(f"tm{number}")
        sent, kept = job_server_class_path(self._jars)
        self._java(
            "jobs", ["-Xmx256m", kept, "-cp", ":".join(sent)],
            "org.apache.beam.runners.flink.FlinkJobServerDriver",
            f"--flink-master=localhost:{self._rest}", "--job-host=localhost",
            f"--job-port={self._jobs}", f"--artifact-port={self._artifacts}", "--expansion-port=0",
            f"--artifacts-dir={self.folder / 'artifacts'}",
        )  # fmt: skip
        self.await_task_managers(_MANAGERS)
        self._await("job server", lambda: _answers(self._jobs))

    def start_task_manager(self, name: str) -> None:
        """Start a task manager: one of the first, or one in place of one that was killed."""
        self._java(
            name, self._cluster(384), f"{_FLINK}.taskexecutor.TaskManagerRunner", *self._settings(),
            "-D", f"taskmanager.resource-id={name}",
        )  # fmt: skip

    def kill_task_manager(self, name: str) -> None:
        """Kill -9: neither Flink nor the SDK process hears of it."""
        process = self._processes.pop(name)
        process.kill()
        process.wait()

    def kill_workers(self, name: str) -> None:
        """Kill -9 the SDK processes of a task manager, as a machine does that is out of memory."""
        group = self._processes[name].pid
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended since
                if _BOOT.name.encode() in (entry / "cmdline").read_bytes():
                    process = int(entry.name)
                    if os.getpgid(process) == group:
                        os.kill(process, signal.SIGKILL)

    def await_task_managers(self, count: int) -> None:
        """Wait until so many have registered."""
        self._await("task managers", lambda: self.overview()["taskmanagers"] == count)

    def overview(self) -> dict[str, Any]:
        """What the job manager says of the cluster; nobody registered while it does not answer."""
        try:
            return dict(self.rest("overview"))
        except OSError:
            return {"taskmanagers": 0}

    def rest(self, path: str) -> Any:
        """An answer of Flink's REST API."""
        with urllib.request.urlopen(f"http://localhost:{self._rest}/{path}", timeout=10) as answer:
            return json.load(answer)

    def log(self, name: str) -> str:
        """What a process has printed."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    @property
    def environment(self) -> dict[str, str]:
        """What an SDK process must find: this interpreter and this code, and one thread for each."""
        python = Path(sys.executable).parent
        return {
            "PATH": f"{python}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.environ.get("PYTHONPATH", str(_ROOT)),
            "OMP_NUM_THREADS": "1",
        }

    def workers(self) -> list[str]:
        """Beam options: an SDK process for each task manager, kept from step to step of a stage."""
        config = {"command": str(_BOOT), "env": self.environment}
        return [
            "--environment_type=PROCESS",
            f"--environment_config={json.dumps(config)}",
            # shorter than Flink waits before it restarts a job: else that gets the dead process again
            "--environment_cache_millis=3000",
            "--parallelism=2",
        ]

    def through_endpoint(self) -> list[str]:
        """Arguments of ``mining run`` that submit to the job server of this cluster."""
        endpoint = f"--job_endpoint=localhost:{self._jobs}"
        return ["--runner=FlinkRunner", "--", endpoint, *self.workers()]

    def through_jar(self) -> list[str]:
        """Arguments of ``mining run`` that start a job server of the run's own."""
        jar = f"--flink_job_server_jar={self._jars / JOB_SERVER}"
        kept = f"--job_server_jvm_properties={job_server_class_path(self._jars)[1]}"
        master = f"--flink_master=localhost:{self._rest}"
        return ["--runner=FlinkRunner", "--", master, jar, kept, *self.workers()]

    def stop(self) -> None:
        """Take everything down, the SDK processes too."""
        for sign, seconds in ((signal.SIGTERM, _STOP_S), (signal.SIGKILL, _STOP_S)):
            for group in self._groups:
                _signal(group, sign)
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                for process in self._processes.values():
                    process.poll()  # a child that nobody asked after stays in its group
                self._groups = [group for group in self._groups if _signal(group, 0)]
                if not self._groups:
                    return
                time.sleep(0.1)

    def _settings(self) -> list[str]:
        """Options of Flink's own processes."""
        settings = {
            "rest.port": self._rest,
            "jobmanager.rpc.port": self._rpc,
            "io.tmp.dirs": self.folder / "tmp",
            "web.tmpdir": self.folder / "web",
        }
        options = [f"{key}={value}" for key, value in settings.items()]
        flags = [word for option in options for word in ("-D", option)]
        return ["--configDir", str(self.folder / "conf"), *flags]

    def _cluster(self, heap_mib: int) -> list[str]:
        """Java options of Flink's own processes."""
        return [f"-Xmx{heap_mib}m", "-cp", f"{self._jars}/*"]

    def _java(self, name: str, options: Sequence[str], main: str, *arguments: str) -> None:
        """Start a Java process that logs to ``<name>.log``."""
        (self.folder / "tmp").mkdir(exist_ok=True)
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                ["java", *_JAVA, *add_opens(), *options, main, *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        self._processes[name] = process
        self._groups.append(process.pid)

    def _await(self, what: str, done: Callable[[], bool]) -> None:
        until = time.monotonic() + _START_S
        while not done():
            for name, process in self._processes.items():
                if process.poll() is not None:
                    raise ClusterError(
                        f"{name} ended with {process.returncode}:\n{self._end(name)}"
                    )
            if time.monotonic() > until:
                ends = "\n".join(self._end(name) for name in self._processes)
                raise ClusterError(f"{what}: not there after {_START_S:.0f} s:\n{ends}")
            time.sleep(0.2)

    def _end(self, name: str) -> str:
        return "\n".join(self.log(name).splitlines()[-15:])


def _free_ports(count: int) -> Sequence[int]:
    """Ports that nobody listens on."""
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("localhost", port), timeout=1).close()
    except OSError:
        return False
    return True


def _signal(group: int, sign: int) -> bool:
    """Send a signal to a process group; returns whether there is one."""
    try:
        os.killpg(group, sign)
    except ProcessLookupError:
        return False
    return True


def main() -> None:
    """Up until Ctrl-C or SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="mining-flink-") as folder:
        cluster = Cluster(Path(folder))
        try:
            cluster.start()
            print(f"logs in {folder}; stop with Ctrl-C; now e.g.\n")
            words = [
                "mining",
                "run",
                "--config",
                "configs/sample.yaml",
                *cluster.through_endpoint(),
            ]
            print(shlex.join(words), flush=True)
            signal.pause()
        except KeyboardInterrupt:
            print("stopping")
        finally:
            cluster.stop()


if __name__ == "__main__":
    main()
