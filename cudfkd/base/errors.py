"""What a user can meet when something is wrong: one plain line, naming the value and what is allowed."""

from collections.abc import Iterable
from difflib import get_close_matches


class CudfkdError(Exception):
    """Base of every error that is the user's to mend. Its message is one line and says what to do."""

    def __str__(self) -> str:
        """The line; what cannot be printed, such as a line break in a path, is escaped."""
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in super().__str__())


class ConfigError(CudfkdError):
    """A value in a description of a run is of the wrong type, out of range or unknown."""


class DataError(CudfkdError):
    """A data set, an asset or a run folder is missing, incomplete or not what its hash says."""


class TrainingError(CudfkdError):
    """A run stopped itself: a loss was not finite, or the curriculum left the student nothing to learn from."""


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """The line for an unknown name: what was given, the nearest valid one, and all that are valid."""
    names = sorted(known)
    near = get_close_matches(str(name).lower(), names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown {kind} {' '.join(repr(name).split())}: {hint}known: {', '.join(names)}"
