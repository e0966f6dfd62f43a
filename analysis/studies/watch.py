"""A callback that keeps the accuracies of a run, counts its cost, and ends a run that is not worth its other epochs."""

from collections.abc import Callable
from time import perf_counter
from typing import Any

from cudfkd.callbacks import Callback
from cudfkd.runs.context import Context

Hopeless = Callable[[list[float]], bool]
"""Takes the accuracies on dev after each epoch so far, fractions; says whether the run ends here."""


class Pruned(Exception):  # noqa: N818
    """Ends a run from outside, after an epoch. It is no error: a search has seen enough of the run."""

    def __init__(self, epoch: int) -> None:
        super().__init__(f"pruned after epoch {epoch}")
        self.epoch = epoch


class Watch(Callback):
    """Keeps the accuracy on dev after each epoch, and raises `Pruned` where the run is hopeless before its last epoch.

    accuracies: accuracies after each finished epoch, fractions.
    """

    def __init__(self, hopeless: Hopeless) -> None:
        self.accuracies: list[float] = []
        self._hopeless = hopeless
        self._started = perf_counter()
        self._ctx: Context | None = None

    def before_run(self, ctx: Context) -> None:
        self._ctx = ctx

    def after_epoch(self, ctx: Context, row: dict[str, float | int | None]) -> None:
        self.accuracies.append(float(row["accuracy"] or 0.0))
        if ctx.epoch < ctx.config.epochs and self._hopeless(list(self.accuracies)):
            raise Pruned(ctx.epoch)

    @property
    def numbers(self) -> dict[str, Any]:
        """The accuracies, and the number of student steps that were taken, as a record keeps them."""
        return {"accuracies": list(self.accuracies), "student_steps": self._ctx.step if self._ctx else 0}

    @property
    def seconds(self) -> float:
        """Seconds since the watch was made, training and evaluation together."""
        return round(perf_counter() - self._started, 1)
