"""Errors for the user. Each message is one plain line that names the wrong value and the allowed values."""

from collections.abc import Iterable
from difflib import get_close_matches


class CudfkdError(Exception):
    """Base of every error that the user can correct. Its message is one line and says what to do."""

    def __str__(self) -> str:
        """Returns the message as one line, with unprintable characters escaped, such as a line break in a path."""
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in super().__str__())

    def _render_traceback_(self) -> list[str]:
        """Returns the lines that IPython shows of the error: the message alone."""
        return [f"{type(self).__name__}: {self}"]


class ConfigError(CudfkdError):
    """A value in a description of a run is of the wrong type, out of range or unknown."""


class DataError(CudfkdError):
    """A data set, an asset or a run folder is missing, is incomplete or does not match its hash."""


class TrainingError(CudfkdError):
    """A run stopped itself: a loss was not finite, or the curriculum gave every sample a weight near 0."""


class Interrupted(KeyboardInterrupt):
    """The user interrupted work that can go on later. The message is one line and says how."""

    def _render_traceback_(self) -> list[str]:
        """Returns the lines that IPython shows of the interrupt: the message alone."""
        return [str(self)]


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """Returns the error line for an unknown name: the name, the nearest valid name, and all valid names.

    Arguments:
        kind: noun for the thing that has the name, such as "model".
        name: the unknown name.
        known: the valid names.
    """
    names = sorted(known)
    near = get_close_matches(str(name).lower(), names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown {kind} {' '.join(repr(name).split())}: {hint}known: {', '.join(names)}"
