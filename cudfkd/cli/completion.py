"""The command `cudfkd completion`: the script with which a shell completes commands, options and names."""

import argparse

import shtab

from cudfkd import data, methods, models, regularizers, teachers
from cudfkd.base.console import say
from cudfkd.base.errors import ConfigError, unknown
from cudfkd.cli import commands
from cudfkd.teachers import recipes

SHELLS = ("bash", "zsh", "tcsh")


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the argument of `cudfkd completion`."""
    parser.add_argument("shell", metavar="SHELL", help="bash, zsh or tcsh")
    parser.set_defaults(run=_completion)


def _completion(args: argparse.Namespace) -> None:
    say(script(commands.parser(), args.shell))


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Returns the completion script for the command line of `parser`. Raises ConfigError for an unknown shell."""
    if shell not in SHELLS:
        raise ConfigError(unknown("shell", shell, SHELLS))
    return shtab.complete(_with_choices(parser), shell)


def _with_choices(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Adds to each option the names that it takes. Only completion uses them; the descriptions check the names."""
    choices = {
        "method": methods.names(), "data": data.names(), "recipe": recipes.names(), "split": data.SPLITS,
        "student": models.names(), "model": models.names(), "teacher_arch": models.names(),
        "teacher": sorted({model for _, model, _ in teachers.shipped()}),
        "field_regularizer": regularizers.names(), "shell": SHELLS,
    }  # fmt: skip
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    for command in commands.choices.values():
        for action in command._actions:
            action.choices = action.choices or choices.get(action.dest)
    return parser
