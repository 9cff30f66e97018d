"""However many threads work, a model is in memory once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import beam_jobs.stages.embed
from encoders import load_encoder
from tests.end_to_end.conftest import Outcome, World


def test_four_threads_share_one_model(
    world: World, mining: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a worker of Dataflow with a GPU, which has one process."""
    world.change(partitions=16)
    loads: list[object] = []

    def load(*args: object, **kwargs: object) -> object:
        loads.append(args)
        return load_encoder(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(beam_jobs.stages.embed, "load_encoder", load)
    threads = ("--", "--direct_running_mode=multi_threading", "--direct_num_workers=4")
    done = mining("run", "--config", world.config, *threads)
    assert done.code == 0, done.err
    assert len(loads) == 1
