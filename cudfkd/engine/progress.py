"""Progress of a run: a bar in a terminal, one updated line in a notebook, one line per epoch in a log."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from tqdm import tqdm

from cudfkd.base import console
from cudfkd.callbacks import Callback
from cudfkd.runs.context import Context

Row = dict[str, float | int | None]


class Progress(Callback, AbstractContextManager):
    """Shows the progress of a run. Inside an epoch it counts steps only and reads no tensor.

        place                    display
        terminal                 a bar on stderr, redrawn at most twice a second
        notebook                 one output, replaced after each epoch, so that an executed notebook holds one line
        log file, pipe           one line per epoch
        none                     nothing: the run goes on

    With several ranks, only rank 0 shows progress. As a context manager, it removes its bar when a run ends with an
    error.

    Arguments:
        write: function that takes each line for a log file or pipe; None: lines go to stdout.
    """

    def __init__(self, write: Callable[[str], object] | None = None) -> None:
        self._write = write or console.say
        self._bar: tqdm | None = None
        self._output: Any = None

    def before_run(self, ctx: Context) -> None:
        if not ctx.ranks.leads:
            self._write = _to_nowhere
        elif _in_notebook():
            from IPython.display import display

            self._output = display(_Text("starting ..."), display_id=True)
        elif console.is_terminal(sys.stderr):
            self._bar = tqdm(
                total=ctx.config.total_steps, initial=ctx.step, unit="step", mininterval=0.5, file=sys.stderr,
                dynamic_ncols=True, leave=False,
            )  # fmt: skip

    def after_student_step(self, ctx: Context, batch: Any) -> None:  # noqa: ARG002
        if self._bar is not None:
            self._bar.update()

    def after_epoch(self, ctx: Context, row: Row) -> None:
        line = epoch_line(row, ctx.config.epochs)
        if self._output is not None:
            self._output.update(_Text(line))
        elif self._bar is not None:
            self._bar.set_description_str(line, refresh=True)
        else:
            self._write(line)

    def after_run(self, ctx: Context) -> None:  # noqa: ARG002
        self.close()

    def close(self) -> None:
        """Removes the bar, if there is a bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __exit__(self, *error: object) -> None:
        self.close()


def epoch_line(row: Row, epochs: int) -> str:
    """Formats an epoch as one line: number, loss, lambda, mean weight, accuracy on held-out images, seconds so far."""
    parts = [f"epoch {row['epoch']:>3}/{epochs}", f"loss {row['loss']:.4f}", f"lambda {row['lam']:.3f}"]
    parts.append(f"mean weight {row['mean_weight']:.3f}")
    if row["accuracy"] is not None:
        parts.append(f"accuracy {row['accuracy']:.4f}")
    return "  ".join([*parts, f"{row['total_seconds']:.0f} s"])


class _Text:
    """Text that a notebook shows without quotes."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and hasattr(shell, "kernel")


def _to_nowhere(line: str) -> None:  # noqa: ARG001
    pass
