"""What happened in an epoch, kept on the device and read once, at the epoch's end."""

from collections import defaultdict
from typing import NamedTuple

import torch
from torch import Tensor

from cudfkd.base.ranks import Ranks


class NotFinite(NamedTuple):
    """The first values of an epoch that were not finite: their names, and the student steps done before."""

    terms: list[str]
    step: int


class EpochLog:
    """Scalars and batches of values by name. Adding one never makes the host wait for the device."""

    def __init__(self) -> None:
        self._values: dict[str, list[Tensor]] = defaultdict(list)
        self._times: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self._event = 0

    def next_event(self) -> None:
        """What is added from now on happened later than what was added before."""
        self._event += 1

    def add(self, name: str, value: Tensor, step: int) -> None:
        """Notes a tensor at student step `step`; the same name always has the same shape."""
        self._values[name].append(value.detach())
        self._times[name].append((self._event, step))

    def names(self) -> list[str]:
        """What was noted, in the order of first appearance."""
        return list(self._values)

    def all(self, name: str) -> Tensor:
        """Everything noted under a name, stacked: shape (times, ...)."""
        return torch.stack(self._values[name])

    def mean(self, name: str) -> float:
        """The mean of a scalar over the epoch (one wait for the device)."""
        return float(self.all(name).float().mean())

    def average(self, ranks: Ranks) -> None:
        """Makes the scalars those of the global batch, their means over ranks. What is named sample_... is global."""
        if ranks.size > 1:
            for name in [name for name in self._values if not name.startswith("sample_")]:
                self._values[name] = list(ranks.means(self.all(name))[0])

    def not_finite(self) -> NotFinite | None:
        """Which values were the first to be NaN or infinite, or None when all are finite (one wait for the device)."""
        finite = {name: torch.stack([v.isfinite().all() for v in self._values[name]]).cpu() for name in self._values}
        first = {n: self._times[n][int((~ok).int().argmax())] for n, ok in finite.items() if not bool(ok.all())}
        if not first:
            return None
        earliest = min(first.values())
        return NotFinite([name for name, at in first.items() if at == earliest], earliest[1])
