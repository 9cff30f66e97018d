"""How the regions of a corpus are dealt to units."""

from __future__ import annotations

import hashlib
from pathlib import Path

from beam_jobs.stage import Run
from beam_jobs.stages.recordings import regions_of_unit, units_of_part, units_of_speech
from mining.config.model import Config, Corpus, Task
from mining.contract.schemas import REGION
from mining.io.collapse import table_of
from mining.io.dataset import Manifest
from mining.io.filesystem import Storage
from mining.io.parquet import write_part

RECORDINGS, UNITS = 200, 5


def test_each_recording_is_in_one_unit_and_no_unit_has_most(tmp_path: Path) -> None:
    corpora = {"talks": Corpus(uri="x", lang="deu", modality="speech")}
    tasks = {"ss": Task(source="talks", target="talks")}
    run = Run(config=Config(schema=1, output=str(tmp_path), corpora=corpora, tasks=tasks))
    ids = sorted(hashlib.md5(bytes([n])).hexdigest() for n in range(RECORDINGS))
    rows = [(one, region, region * 10) for one in ids for region in range(3)]
    known = {
        "lang": "deu", "source_uri": "r", "num_samples": 9, "sample_rate_hz": 100,
        "level_dbfs": -20.0, "clipped_ratio": 0.0,
    }  # fmt: skip
    table = table_of(REGION, ("recording_id", "region", "start_sample"), rows, known)
    folder = run.dataset("regions", "talks", "h")
    parts = tuple(
        write_part(folder, f"part-{n:05d}.parquet", some, REGION, Storage())
        for n, some in enumerate((table, REGION.empty_table()))
    )
    seconds = {"part-00000": UNITS * 900.0 + 100, "part-00001": 0.0}
    regions = Manifest(
        kind="regions", name="talks", hash="h", parts=parts, attributes={"speech_s": seconds}
    )
    units = units_of_speech(regions)
    assert len({unit.key for unit in units}) == len(units) == UNITS + 1
    assert [unit.key for unit in units[:UNITS]] == units_of_part(regions, "part-00000.parquet")
    found = [regions_of_unit(run, regions, unit)["recording_id"].to_pylist() for unit in units]
    assert sorted(one for some in found for one in some) == table["recording_id"].to_pylist()
    sizes = [len(set(some)) for some in found]
    assert sum(sizes) == RECORDINGS
    assert sizes[-1] == 0
    fair = RECORDINGS / UNITS
    assert fair / 2 < min(sizes[:-1]) <= max(sizes) < 2 * fair
