"""The log of an epoch: values stay on the device and are read once, at the epoch's end."""

from collections import defaultdict
from typing import NamedTuple

import torch
from torch import Tensor

from cudfkd.base.ranks import Ranks


class NotFinite(NamedTuple):
    """The first values of an epoch that were not finite.

    terms: names of the values.
    step: student steps of the run before them.
    """

    terms: list[str]
    step: int


class EpochLog:
    """Scalars and batches of values by name. Adding a value never makes the host wait for the device.

    teacher_images: number of images that the teacher has looked at in this epoch, on all ranks, for the method.
    """

    def __init__(self) -> None:
        self.teacher_images = 0
        self._values: dict[str, list[Tensor]] = defaultdict(list)
        self._times: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self._event = 0

    def next_event(self) -> None:
        """Starts a new event. Values of one event count as simultaneous, values of an earlier event as earlier."""
        self._event += 1

    def add(self, name: str, value: Tensor, step: int) -> None:
        """Adds a tensor at student step `step`. All tensors of a name must have the same shape."""
        self._values[name].append(value.detach())
        self._times[name].append((self._event, step))

    def names(self) -> list[str]:
        """Names of the values, in the order of their first appearance."""
        return list(self._values)

    def all(self, name: str) -> Tensor:
        """All values of a name, stacked: shape (times, ...)."""
        return torch.stack(self._values[name])

    def mean(self, name: str) -> float:
        """Mean of a scalar over the epoch (waits once for the device)."""
        return float(self.all(name).float().mean())

    def average(self, ranks: Ranks) -> None:
        """Replaces the scalars by their means over ranks, which are the values of the global batch.

        Values with a name sample_... belong to the global batch already.
        """
        if ranks.size > 1:
            for name in [name for name in self._values if not name.startswith("sample_")]:
                self._values[name] = list(ranks.means(self.all(name))[0])

    def not_finite(self) -> NotFinite | None:
        """Finds the first values that are NaN or infinite; None if all are finite (waits once for the device)."""
        finite = {name: torch.stack([v.isfinite().all() for v in self._values[name]]).cpu() for name in self._values}
        first = {n: self._times[n][int((~ok).int().argmax())] for n, ok in finite.items() if not bool(ok.all())}
        if not first:
            return None
        earliest = min(first.values())
        return NotFinite([name for name, at in first.items() if at == earliest], earliest[1])
