"""The command line: `cudfkd distill | teacher | evaluate | methods | notebooks | doctor | completion`.

Options are flat and come from the fields of the descriptions, so that no value is declared or checked twice.

    exit code   case
    0           success
    1           a run stopped itself (a loss not finite, a dead curriculum), with one line; doctor reports a bad state
    2           bad input or out of memory, with one line on stderr
    130         interrupted by the user
    141         the reader of stdout is gone
"""

import re
import sys
from collections.abc import Sequence

from cudfkd.base import command
from cudfkd.base.console import say
from cudfkd.base.errors import ConfigError, TrainingError, unknown
from cudfkd.base.version import __version__
from cudfkd.cli.commands import COMMANDS, parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    kept = any(word.startswith("--out") for word in words)
    line = "interrupted; a run with --out goes on from its last epoch with --resume" if kept else "interrupted"
    return command.run("cudfkd", lambda: _run(words), failures=(TrainingError,), interrupted=line)


def _run(words: list[str]) -> int | None:
    if words[:1] == ["--version"]:
        say(__version__)
        return 0
    if words and words[0] not in (*COMMANDS, "-h", "--help"):
        raise ConfigError(unknown("command", words[0], COMMANDS))
    parsed, extra = parser(words[:1]).parse_known_args(words or ["--help"])
    if extra:
        raise ConfigError(unknown("option", extra[0].split("=")[0], parsed.options))
    try:
        return parsed.run(parsed)
    except (MemoryError, RuntimeError) as error:
        from cudfkd.base.out_of_memory import is_out_of_memory  # which needs torch

        if not is_out_of_memory(error):
            raise
        size = _requested_size(error)
    raise ConfigError(f"out of memory ({size}): lower the batch size or the widths")


def _requested_size(error: Exception) -> str:
    """Says how much memory was asked for, from torch's message such as "you tried to allocate 8192 bytes"."""
    amount = re.search(r"ried to allocate ([\d.]+ \w+)", str(error))
    return f"{amount[1]} asked for" if amount else "more was asked for than there is"
