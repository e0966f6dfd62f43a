"""The console of a process, which may be absent: lines for stdout and stderr that never end the work they tell of.

A process may have no stdout and stderr (None: pythonw, or `>&-` in a shell), or closed streams. Behind them may be a
full disk, or a terminal that is gone. Their encoding may lack the characters of a path. A line that cannot be shown is
dropped, and a character that cannot be shown is escaped. Only the reader of stdout ends a program by going away, as in
`... | head`.
"""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

Stream = Any  # sys.stdout and sys.stderr may be None, or whatever object with `write` a user put there


def say(line: str) -> None:
    """Writes a line to stdout at once. Raises BrokenPipeError if the reader of stdout is gone."""
    with _losses():
        _write(sys.stdout, line)


def flush() -> None:
    """Writes what stdout still holds. Raises BrokenPipeError if the reader of stdout is gone."""
    with _losses():
        sys.stdout.flush()


def complain(line: str) -> None:
    """Writes a line to stderr at once."""
    with suppress(OSError):
        _write(sys.stderr, line)


def is_terminal(stream: Stream) -> bool:
    """Returns whether a person sees the stream in a terminal."""
    return not _is_gone(stream) and hasattr(stream, "isatty") and stream.isatty()


@contextmanager
def usable() -> Iterator[None]:
    """Gives a program streams that can be written, whatever its console: also to argparse, and to what it imports.

    In the block, sys.stdout and sys.stderr lead to the null device if they are None or closed, and they escape
    characters that their encoding lacks. The file descriptors 0 to 2 stay open for the rest of the process: else the
    next file of a run would get one of these numbers, and with it the messages that C code writes to stderr.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    with ExitStack() as stack:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if _is_gone(stream):
                stack.callback(setattr, sys, name, stream)
                setattr(sys, name, stack.enter_context(open(os.devnull, "w", encoding="utf-8")))
            elif isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
                stack.callback(_reconfigure, stream, stream.errors)
                stream.reconfigure(errors="backslashreplace")
        yield


@contextmanager
def _losses() -> Iterator[None]:
    """Says on stderr that a line for stdout was lost, and why, instead of raising the error."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        complain(f"stdout cannot be written ({error.strerror}): a line was lost")


def _write(stream: Stream, line: str) -> None:
    if _is_gone(stream):
        return
    try:
        stream.write(line + "\n")
    except UnicodeEncodeError as error:
        stream.write(line.encode(error.encoding, "backslashreplace").decode(error.encoding) + "\n")
    if hasattr(stream, "flush"):
        stream.flush()


def _is_gone(stream: Stream) -> bool:
    return stream is None or getattr(stream, "closed", False)


def _reconfigure(stream: io.TextIOWrapper, errors: str) -> None:
    """Restores how a stream treats characters that it cannot encode; a stream that is closed by now stays as it is."""
    if not stream.closed:
        with suppress(OSError):  # it flushes the stream first
            stream.reconfigure(errors=errors)
