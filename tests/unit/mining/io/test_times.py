"""When files were written."""

import time

from mining.io.filesystem import Storage, write_atomic
from mining.io.times import times_of


def test_names_and_times_of_a_folder(tmp_path):
    for folder in (str(tmp_path / "a"), "memory://times/a"):
        assert times_of(folder, Storage()) == {}
        for name in ("x.json", ".hidden", "_manifest.json", "below/y.json"):
            write_atomic(f"{folder}/{name}", b"{}", Storage())
        found = times_of(folder, Storage())
        assert set(found) == {"x.json"}
        assert abs(found["x.json"] - time.time()) < 3600
