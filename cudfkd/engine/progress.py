"""Progress of a run: a bar with the time left in a terminal and in a notebook, one line per epoch in a log."""

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
        notebook                 one output, replaced once a second; at the end it holds the line of the last epoch
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

    def before_run(self, ctx: Context) -> None:
        steps: dict[str, Any] = {"total": ctx.config.total_steps, "initial": ctx.step, "unit": "step"}
        if not ctx.ranks.leads:
            self._write = _to_nowhere
        elif _in_notebook():
            self._bar = _NotebookBar(**steps)
        elif console.is_terminal(sys.stderr):
            self._bar = tqdm(**steps, mininterval=0.5, file=sys.stderr, dynamic_ncols=True, leave=False)

    def after_student_step(self, ctx: Context, batch: Any) -> None:  # noqa: ARG002
        if self._bar is not None:
            self._bar.update()

    def after_epoch(self, ctx: Context, row: Row) -> None:
        line = epoch_line(row, ctx.config.epochs)
        if self._bar is not None:
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


class _NotebookBar(tqdm):
    """A bar as text in one output of a notebook, above the line of the last epoch. At the end the line stands alone.

    JupyterLab drops what a cell says while no page is open, so the bar says what to do then.
    """

    FORMAT = (
        "{percentage:3.0f} % |{bar:40}| {n_fmt} of {total_fmt} steps, {elapsed} so far, {remaining} left\n{desc}\n"
        "Does this stand still in a page that was reopened? Run the cell again: it waits for the result."
    )

    def __init__(self, **steps: Any) -> None:
        from IPython.display import display

        self._output: Any = display(_Text("starting ..."), display_id=True)
        super().__init__(**steps, mininterval=1.0, miniters=1, gui=True, bar_format=self.FORMAT, ncols=200)

    def display(self, msg: str | None = None, pos: int | None = None) -> None:  # noqa: ARG002
        self._output.update(_Text(str(self)))

    def close(self) -> None:
        if self.desc:
            self._output.update(_Text(self.desc))
        super().close()


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
