"""The commands and their options. The module of a command is imported only when the command is asked for.

Most modules need torch, whose import takes seconds. `cudfkd --help` and a misspelt command need none of them.
"""

import argparse
from collections.abc import Iterable
from importlib import import_module

from cudfkd.base.command import Parser

COMMANDS = {
    "distill": "distill one of our teachers without data, evaluating on held-out images",
    "teacher": "train a teacher, and compare it with the teacher that ships",
    "evaluate": "accuracy, agreement and loyalty of a run's student against its teacher",
    "methods": "list the methods: paper, recorded seconds and MB of a quick run, and needs of each",
    "notebooks": "copy the notebooks, their profiles and the documents into a new folder",
    "doctor": "check versions, devices, data sets and assets, for the case that something does not work",
    "completion": 'a script that lets a shell complete commands, options and names: eval "$(cudfkd completion bash)"',
}


class _Help(argparse.HelpFormatter):
    """The help format of argparse, with an option's default in [] after its text."""

    def _get_help_string(self, action: argparse.Action) -> str:
        shown = action.default not in (None, "", argparse.SUPPRESS) and action.default is not False
        return f"{action.help} [%(default)s]" if shown else str(action.help)


def parser(complete: Iterable[str] = COMMANDS) -> Parser:
    """Returns the parser of the command line.

    Arguments:
        complete: the commands that get their options. The remaining commands have a name and a text only.
    """
    top = Parser(prog="cudfkd", description="Data-free knowledge distillation.", formatter_class=_Help)
    top.add_argument("--version", action="store_true", help="show the version")
    commands = top.add_subparsers(metavar="COMMAND", parser_class=Parser)
    chosen = set(complete)
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text, formatter_class=_Help)
        if name in chosen:
            import_module(f"cudfkd.cli.{name}").add(command)
        command.set_defaults(options={option for option in command._option_string_actions if option[:2] == "--"})
    return top
