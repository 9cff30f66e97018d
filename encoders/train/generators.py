"""State of torch's random generators: kept to draw the same again, or to go on after a restart."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, kw_only=True, eq=False)
class Generators:
    """State of the generators of the CPU and of every GPU.

    Attributes:
        cpu: uint8 [S].
        cuda: uint8 [S] each, one a GPU; empty where there is none.
    """

    cpu: torch.Tensor
    cuda: tuple[torch.Tensor, ...] = ()

    @classmethod
    def now(cls) -> Generators:
        """The state at this moment."""
        # a process that has not touched its GPU yet is not made to
        begun = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        cuda = torch.cuda.get_rng_state_all() if begun else []
        return cls(cpu=torch.get_rng_state(), cuda=tuple(cuda))

    def restore(self) -> None:
        """Go back to this state. GPUs that are no longer there are passed over."""
        torch.set_rng_state(self.cpu)
        if self.cuda:
            torch.cuda.set_rng_state_all(list(self.cuda[: torch.cuda.device_count()]))
