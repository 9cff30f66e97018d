"""Runs whose every file is on an object store that fails now and then: the same pairs, or one line."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from beam_jobs.cli import main
from tests.end_to_end.conftest import Outcome, World
from tests.end_to_end.object_stores import Faults, Store, gs_store, proxy_before, s3_store
from tests.end_to_end.speech_world import SAMPLE, first_pages
from tests.end_to_end.test_run import command

Cli = Callable[..., Outcome]
ROOT = Path(__file__).parents[2]
LANGS = ("deu", "eng")
SENTENCES, SECONDS = 60, 25.0
STORES = {"s3": s3_store, "gs": gs_store}
# so that the client itself gives up soon
_QUICK = {"config_kwargs": {"retries": {"max_attempts": 0}}}


@pytest.fixture(params=sorted(STORES))
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    if request.param == "gs":
        pytest.importorskip("gcp_storage_emulator", reason="needs gcp-storage-emulator and gcsfs")
    with STORES[request.param]() as found:
        yield found


@pytest.fixture
def s3() -> Iterator[Store]:
    with s3_store() as found:
        yield found


@pytest.fixture(scope="module")
def sample() -> dict[str, bytes]:
    """A part of the sample: texts and recordings in two languages, by name."""
    found = {}
    for lang in LANGS:
        lines = (SAMPLE / "text" / f"{lang}.tsv").read_bytes().splitlines(keepends=True)
        found[f"text/{lang}.tsv"] = b"".join(lines[:SENTENCES])
        sound = (SAMPLE / "audio" / lang / "kitchen.opus").read_bytes()
        found[f"audio/{lang}/kitchen.opus"] = first_pages(sound, SECONDS)
    return found


def sample_at(base: str, **execution: object) -> dict[str, Any]:
    """The sample's own config, with files and output under another address."""
    text = (ROOT / "configs" / "sample.yaml").read_text().replace("examples/sample", base)
    config: dict[str, Any] = yaml.safe_load(text)
    return config | {"output": f"{base}/out", "execution": execution}


def config_of(base: str, folder: Path, **execution: object) -> Path:
    """The same for a part of the sample."""
    config = sample_at(base, **execution) | {"partitions": 2}
    config["mining"]["threshold"] = "none"  # of so few sentences little is above the calibrated one
    del config["evaluate"]
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def pairs_of(objects: dict[str, bytes]) -> dict[str, str]:
    """sha256 of the pair files, by their name below the output."""
    return {
        name.partition("out/")[2]: hashlib.sha256(data).hexdigest()
        for name, data in objects.items()
        if "out/pairs/" in name and name.endswith(".parquet")
    }


@pytest.fixture(scope="module")
def local_pairs(
    sample: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """The pairs of the same run on a local disk."""
    folder = tmp_path_factory.mktemp("local")
    for name, data in sample.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        config = str(config_of(str(folder), folder))
        patch.setattr("sys.argv", ["mining", "run", "--config", config])
        main()
    found = pairs_of({str(path): path.read_bytes() for path in folder.rglob("*.parquet")})
    assert {name.split("/")[1] for name in found} == {"tt", "st", "ss"}
    return found


def test_the_sample_on_a_store_is_the_sample_on_a_disk(
    store: Store,
    sample: dict[str, bytes],
    local_pairs: dict[str, str],
    tmp_path: Path,
    mining: Cli,
) -> None:
    for name, data in sample.items():
        store.put(name, data)
    config = config_of(store.uri, tmp_path, storage=store.options)
    done = mining("run", "--config", config)
    assert done.code == 0, done.err
    assert pairs_of(store.objects()) == local_pairs
    assert "nothing to do" in mining("run", "--config", config).err


def in_a_process(*arguments: object) -> str:
    """A command in a process of its own, which has the store's threads not beside it; what it told."""
    done = subprocess.run(
        command(*arguments), cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def sample_pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The pairs of the whole sample on a local disk; $MINING_SAMPLE_RUN names a run that is there."""
    output = ROOT / os.environ.get("MINING_SAMPLE_RUN", tmp_path_factory.mktemp("sample") / "out")
    if not output.exists():
        in_a_process("run", "--config", "configs/sample.yaml", "--output", output)
    paths = (output / "pairs").rglob("*.parquet")
    return pairs_of({f"out/{path.relative_to(output)}": path.read_bytes() for path in paths})


@pytest.mark.slow
def test_the_whole_sample_on_a_store_that_fails_now_and_then(
    store: Store, sample_pairs: dict[str, str], tmp_path: Path
) -> None:
    """Texts, recordings, gold and every file between are there and nowhere else."""
    for path in (p for p in SAMPLE.rglob("*") if p.suffix in (".tsv", ".opus", ".parquet")):
        store.put(str(path.relative_to(SAMPLE)), path.read_bytes())
    # of some 20,000 requests; gcsfs itself waits for a second or two at each
    faults = Faults(refused=601, broken=701, late=301, cut=151, unanswered=163, torn=401)
    config = tmp_path / "run.yaml"
    begun = time.monotonic()
    with proxy_before(store, faults) as proxy:
        config.write_text(yaml.safe_dump(sample_at(store.uri, storage=store.through(proxy))))
        in_a_process("run", "--config", config)
    took = f"{time.monotonic() - begun:.0f} s, {faults.requests} requests"
    print(f"\n{store.uri}: {took}, struck {faults.seen}")
    assert pairs_of(store.objects()) == sample_pairs
    assert {name.split("/")[1] for name in sample_pairs} == {"tt", "st", "ss"}
    assert min(n for name, n in faults.seen.items() if getattr(faults, name)) > 0


@pytest.fixture
def small(world: World) -> World:
    """A world whose run makes few requests."""
    tasks = {"tt": {"source": "texts", "target": "texts", "langs": ["deu-eng"]}}
    world.change(partitions=1, tasks=tasks, execution={"tile_rows": 1000})
    return world


def whole(world: World, mining: Cli) -> dict[str, str]:
    """The pairs of a world on a local disk."""
    assert mining("run", "--config", world.config).code == 0
    paths = world.output.rglob("*.parquet")
    return pairs_of({str(path): path.read_bytes() for path in paths})


def on_store(world: World, options: dict[str, Any], output: str, **execution: object) -> None:
    """Put a world's output on a store."""
    world.change(output=output, execution={"storage": options, "tile_rows": 1000, **execution})


@pytest.mark.usefixtures("no_beam")
def test_a_store_that_fails_now_and_then_costs_time_only(
    store: Store, small: World, mining: Cli
) -> None:
    world, wanted = small, whole(small, mining)
    faults = Faults(refused=151, broken=163, late=61, late_s=0.1, cut=17, unanswered=23, torn=101)
    with proxy_before(store, faults) as proxy:
        on_store(world, store.through(proxy), f"{store.uri}/out")
        done = mining("run", "--config", world.config)
    assert done.code == 0, done.err
    assert pairs_of(store.objects()) == wanted
    struck = {
        name: faults.seen[name] for name in ("refused", "broken", "cut", "unanswered", "torn")
    }
    assert min(struck.values()) > 0, (struck, faults.requests)


@pytest.mark.usefixtures("no_beam")
def test_a_short_outage_is_waited_for(s3: Store, small: World, mining: Cli) -> None:
    """Longer than the client's own tries, which are five."""
    world, wanted = small, whole(small, mining)
    with proxy_before(s3, Faults(down_after=60, down_for=12)) as proxy:
        on_store(world, s3.through(proxy, **_QUICK), f"{s3.uri}/out")
        done = mining("run", "--config", world.config)
    assert done.code == 0, done.err
    assert pairs_of(s3.objects()) == wanted


@pytest.mark.usefixtures("no_beam")
@pytest.mark.parametrize("moment", [0, 60, 150])
def test_an_outage_is_one_line_and_the_same_command_goes_on(
    s3: Store, small: World, mining: Cli, moment: int
) -> None:
    world, wanted = small, whole(small, mining)
    faults = Faults(down_after=moment)
    with proxy_before(s3, faults) as proxy:
        on_store(world, s3.through(proxy, **_QUICK), f"{s3.uri}/out", patience_s=0)
        failed = mining("run", "--config", world.config)
        assert failed.code == 4, failed
        (line,) = (line for line in failed.err.splitlines() if line.startswith("error:"))
        assert f"{s3.uri}/" in line
        assert "the storage must answer, but does not" in line
        assert "Traceback" not in failed.err
        before = s3.objects()
        faults.down_after = -1
        done = mining("run", "--config", world.config)
    assert done.code == 0, done.err
    assert pairs_of(s3.objects()) == wanted
    # what is a file is a whole one
    parts = {name: data for name, data in before.items() if "/segments/" in name}
    assert parts.items() <= s3.objects().items()


@pytest.mark.usefixtures("no_beam")
def test_an_outage_loses_no_recording_and_no_text(
    s3: Store, sample: dict[str, bytes], tmp_path: Path, mining: Cli
) -> None:
    """A file that cannot be looked at is no missing file: nothing is rejected for it."""
    for name, data in sample.items():
        s3.put(name, data)
    for moment in (0, 3, 9, 20):
        faults = Faults(down_after=moment)
        with proxy_before(s3, faults) as proxy:
            storage = s3.through(proxy, **_QUICK)
            config = config_of(s3.uri, tmp_path, storage=storage, patience_s=0)
            failed = mining("prepare", "--config", config)
        assert failed.code == 4, (moment, failed)
        assert not any("rejects/" in name for name in s3.objects()), moment


def test_an_outage_under_beam_is_one_line(s3: Store, world: World, mining: Cli) -> None:
    faults = Faults(down_after=120)
    with proxy_before(s3, faults) as proxy:
        on_store(world, s3.through(proxy, **_QUICK), f"{s3.uri}/out", patience_s=0)
        failed = mining("run", "--config", world.config)
    assert failed.code == 4, failed
    assert len([line for line in failed.err.splitlines() if "the storage must answer" in line]) == 1
    assert "Traceback" not in failed.err
