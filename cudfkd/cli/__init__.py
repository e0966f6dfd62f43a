"""The command line: `cudfkd distill | teacher | evaluate | methods | notebooks | doctor | completion`.

Options are flat and come from the fields of the descriptions, so that no value is declared or checked twice.

    exit code   case
    0           success
    1           a run stopped itself (a loss not finite, a dead curriculum), with one line; doctor reports a bad state
    2           bad input or out of memory, with one line on stderr
    130         interrupted by the user
    141         the reader of stdout is gone
"""

import argparse
import re
import sys
from collections.abc import Sequence

from cudfkd.base import command
from cudfkd.base.command import Parser
from cudfkd.base.console import say
from cudfkd.base.errors import ConfigError, TrainingError, unknown
from cudfkd.base.out_of_memory import is_out_of_memory
from cudfkd.base.version import __version__
from cudfkd.cli import distill, evaluate, flags, listing, notebooks, teacher


class _Help(argparse.HelpFormatter):
    """The help format of argparse, with an option's default in [] after its text."""

    def _get_help_string(self, action: argparse.Action) -> str:
        shown = action.default not in (None, "", argparse.SUPPRESS) and action.default is not False
        return f"{action.help} [%(default)s]" if shown else str(action.help)


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
    parsed, extra = _parser().parse_known_args(words or ["--help"])
    if extra:
        raise ConfigError(unknown("option", extra[0].split("=")[0], parsed.options))
    try:
        return parsed.run(parsed)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        size = _requested_size(error)
    raise ConfigError(f"out of memory ({size}): lower the batch size or the widths")


def _parser() -> Parser:
    parser = Parser(prog="cudfkd", description="Data-free knowledge distillation.", formatter_class=_Help)
    parser.add_argument("--version", action="store_true", help="show the version")
    commands = parser.add_subparsers(metavar="COMMAND", parser_class=Parser)
    for name, add in COMMANDS.items():
        inner = commands.add_parser(name, help=add.__doc__, description=add.__doc__, formatter_class=_Help)
        add(inner)
        inner.set_defaults(options={option for option in inner._option_string_actions if option[:2] == "--"})
    return parser


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    """check versions, devices, data sets and assets, for the case that something does not work"""
    parser.add_argument("--data-root", type=flags.path, help="folder with data sets")
    parser.set_defaults(run=_doctor)


def _doctor(args: argparse.Namespace) -> int:
    from cudfkd.cli import doctor

    lines, healthy = doctor.lines(args.data_root)
    for line in lines:
        say(line)
    return 0 if healthy else 1


def _add_completion(parser: argparse.ArgumentParser) -> None:
    """a script that lets a shell complete commands, options and names: eval "$(cudfkd completion bash)" """
    parser.add_argument("shell", metavar="SHELL", help="bash, zsh or tcsh")
    parser.set_defaults(run=_completion)


def _completion(args: argparse.Namespace) -> None:
    from cudfkd.cli import completion

    say(completion.script(_parser(), args.shell))


def _requested_size(error: Exception) -> str:
    """Says how much memory was asked for, from torch's message such as "you tried to allocate 8192 bytes"."""
    amount = re.search(r"ried to allocate ([\d.]+ \w+)", str(error))
    return f"{amount[1]} asked for" if amount else "more was asked for than there is"


COMMANDS = {
    "distill": distill.add, "teacher": teacher.add, "evaluate": evaluate.add, "methods": listing.add,
    "notebooks": notebooks.add, "doctor": _add_doctor, "completion": _add_completion,
}  # fmt: skip
