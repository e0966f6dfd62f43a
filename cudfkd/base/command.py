"""How a program ends: an error that the user can mend is one line on stderr and an exit code, never a traceback."""

import argparse
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

from cudfkd.base import console
from cudfkd.base.errors import ConfigError, CudfkdError


class Parser(argparse.ArgumentParser):
    """argparse without abbreviations. It raises a bad option as ConfigError, for `run` to say in one line."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)


def run(
    name: str,
    main: Callable[[], int | None],
    *,
    failures: tuple[type[CudfkdError], ...] = (),
    interrupted: str = "interrupted",
) -> int:
    """Runs a program and returns its exit code. A program without a console runs as it does with one.

    | exit code | when |
    |---|---|
    | what `main` returns, 0 for None | it came to its end |
    | 1 | an error of the kinds in `failures`: the work failed, not its input |
    | 2 | any other CudfkdError: the input is wrong |
    | 130 | the user interrupted it (Ctrl-C) |
    | 141 | the reader of its output is gone, as in `... | head` |

    Other errors are bugs and are raised.

    Arguments:
        name: the program's name, with which each line begins.
        main: the program, without its command line's tail for errors.
        failures: errors that end with 1 instead of 2.
        interrupted: the line for Ctrl-C, which says what becomes of the program's work.
    """
    with console.usable():
        try:
            code = main() or 0
            console.flush()  # at Python's exit it would be too late to catch a broken pipe
            return code
        except CudfkdError as error:
            console.complain(f"{name}: {error}")
            return 1 if isinstance(error, failures) else 2
        except KeyboardInterrupt:
            console.complain(f"{name}: {interrupted}")
            return 130
        except BrokenPipeError:
            _discard_output()
            return 141


def _discard_output() -> None:
    """Points stdout to the null device, so that Python's own flush at exit does not meet the broken pipe again."""
    with suppress(OSError):  # a stdout without a file descriptor has nothing to be flushed
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
