"""A share of a run's units, without Beam: several such workers make the run together.

They know of each other by the output alone. A unit is dealt by its place in its phase, a receipt says
that it is done, and whoever sees that all receipts are there writes the manifest: the same bytes
whoever does it, and however often.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from beam_jobs.announced import announce
from beam_jobs.execution.complete import conclude, warn_of_forgetting
from beam_jobs.execution.sequence import by_kind, stages_of
from beam_jobs.execution.waiting import Waiting
from beam_jobs.limit import require_price
from beam_jobs.output import claim_output
from beam_jobs.plan import Plan
from beam_jobs.progress import Progress
from beam_jobs.stage import STAGES, Stage, Unit, do_unit, units_left
from beam_jobs.thresholds import effective

_NAMED = 8  # shards that a message names

Work = tuple[int, Unit]  # index of the stage, and its unit


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One of ``count`` workers; ``index`` counts from 0."""

    index: int
    count: int

    def places(self, total: int) -> range:
        """Which of ``total`` units are its own: dealt like cards."""
        return range(self.index, total, self.count)

    def of(self, places: Iterable[int]) -> str:
        """The shards that some units belong to, for a message."""
        found = sorted({place % self.count for place in places})
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        return ", ".join(f"{index}/{self.count}" for index in found[:_NAMED]) + more


@dataclass(kw_only=True)
class Worker:
    """Does its share of the units of a run.

    Attributes:
        plan: of the run.
        shard: which share.
        wait_s: seconds without a sign of the others after which it gives up.
        progress: told what it does and what it waits for.
        done: units that this worker did, by stage.
    """

    plan: Plan
    shard: Shard
    wait_s: float
    progress: Progress
    done: Counter[str] = field(default_factory=Counter)

    def work(self, names: Sequence[str]) -> None:
        """Do the share of the named stages; wait where an earlier stage or phase is not finished.

        Raises:
            IncompleteError: all is done but for files that had to be left out.
            MiningError: for whatever is wrong; finished work stays and is not done again.
        """
        self.plan.check()
        warn_of_forgetting(self.plan)
        config = self.plan.run.config
        require_price(config.execution)
        claim_output(self.plan.run, replace(config, mining=effective(config.mining)))
        last = max(STAGES.index(name) for name in names)
        for name in STAGES[: last + 1]:
            for stages in by_kind(stages_of(self.plan, name)):
                if name in names:
                    self._stages(stages)
                else:
                    self._wait_for_others(stages)
        conclude(self.plan, names)

    def _stages(self, stages: Sequence[Stage]) -> None:
        """The share of stages of one kind, phase by phase, and their end."""
        left = [stage for stage in stages if not stage.is_done()]
        if not left:
            self.progress.say(f"{stages[0].name}: already done")
            return
        for stage in left:
            stage.begin()
            announce(stage)
        with self.progress.watching(left):
            for phase in stages[0].phases:
                self._phase(stages, phase)
        unfinished = [stage for stage in stages if not stage.is_done()]
        for stage in unfinished:
            stage.finish()
        if unfinished:  # all are finished now, so nobody reads any more what is tidied away
            stages[0].tidy()

    def _phase(self, stages: Sequence[Stage], phase: str) -> None:
        """Do its own units of a phase, and wait until all are done."""
        # of all stages, finished ones too, so that every worker deals alike whenever it comes
        work = [(i, unit) for i, stage in enumerate(stages) for unit in stage.units(phase)]
        mine = self.shard.places(len(work))
        waiting = Waiting(limit_s=self.wait_s, progress=self.progress)
        while missing := _missing(stages, work, phase):
            own = [place for place in missing if place in mine]
            for place in own:
                self._heed_limit(stages)
                index, unit = work[place]
                done = do_unit(stages[index], phase, unit) is not None
                self.done[stages[index].name] += done
            if not own:
                self._heed_limit(stages)
                of = f"{len(missing)} units of {'shard' if self.shard.count == 1 else 'shards'}"
                waiting.pause(
                    len(missing), f"{stages[0].name}/{phase}: {of} {self.shard.of(missing)}"
                )

    def _heed_limit(self, stages: Sequence[Stage]) -> None:
        """End here if nothing may be begun any more; to wait costs as much as to work."""
        limit = self.plan.run.limit
        if limit.reached():
            left = units_left([stage for stage in stages if not stage.is_done()])
            raise limit.error(left, stages[0].name)

    def _wait_for_others(self, stages: Sequence[Stage]) -> None:
        """Until stages are finished that this worker has no part in."""
        waiting = Waiting(limit_s=self.wait_s, progress=self.progress)
        while left := [stage for stage in stages if not stage.is_done()]:
            there = sum(len(stage.done(phase)) for stage in left for phase in stage.phases)
            self._heed_limit(left)
            names = ", ".join(stage.subject for stage in left)
            waiting.pause(there, f"{stages[0].name} of {names}")


def _missing(stages: Sequence[Stage], work: Sequence[Work], phase: str) -> list[int]:
    """Places of the units without a receipt, of stages that are not finished."""
    missing: list[int] = []
    for index, stage in enumerate(stages):
        places = [place for place, (of, _) in enumerate(work) if of == index]
        there = stage.done(phase) if places else ()
        lacking = [place for place in places if work[place][1].key not in there]
        if lacking and not stage.is_done():
            missing += lacking
    return missing
