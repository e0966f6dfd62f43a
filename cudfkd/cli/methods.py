"""The command `cudfkd methods`."""

import argparse

from cudfkd import methods
from cudfkd.base.console import say


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the action of `cudfkd methods`, which has no options."""
    parser.set_defaults(run=_methods)


def _methods(args: argparse.Namespace) -> None:  # noqa: ARG001
    costs, rows = methods.costs(), [("method", "paper", "seconds", "MB", "needs")]
    for name in methods.names():
        about, cost = methods.get(name).ABOUT, costs.get(name)
        seconds, memory = (f"{cost['seconds']:.0f}", f"{cost['peak_memory_mb']:.0f}") if cost else ("-", "-")
        rows.append((name, about.paper, seconds, memory, about.needs))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        say("  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[4]]))
