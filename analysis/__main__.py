"""`python -m analysis execute | reproduce | scorecard | record`. Bad input: one line on stderr, exit code 2."""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from analysis import origin
from analysis.evidence import execute, reproduce, scorecard
from cudfkd.base.errors import ConfigError, CudfkdError


class _Parser(argparse.ArgumentParser):
    def __init__(self, **arguments: Any) -> None:
        super().__init__(allow_abbrev=False, **arguments)

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code: 0, 1 when a notebook or an exact check failed, 2 for bad input."""
    try:
        asked = _parser().parse_args(arguments)
        return asked.run(asked)
    except execute.NotebookError as error:
        print(f"analysis: {error}", file=sys.stderr)
        return 1
    except CudfkdError as error:
        print(f"analysis: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("analysis: interrupted; finished runs are kept and found again", file=sys.stderr)
        return 130


def _parser() -> _Parser:
    parser = _Parser(prog="python -m analysis", description="Run the notebooks.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
    one = commands.add_parser("execute", help="one notebook, with parameters")
    one.add_argument("notebook", type=Path)
    one.add_argument("output", type=Path, nargs="?", help="default: out/PROFILE/NAME.ipynb")
    one.add_argument("-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), help="a parameter")
    one.add_argument("-f", type=Path, action="append", default=[], metavar="FILE", help="parameters from a YAML file")
    one.add_argument("--profile", default="quick", help="start from profiles/PROFILE [quick]")
    one.set_defaults(run=_execute)
    every = commands.add_parser("reproduce", help="all notebooks of a profile, their HTML pages, and the scorecard")
    every.add_argument("--profile", default="quick")
    every.set_defaults(run=_reproduce)
    card = commands.add_parser("scorecard", help="what the notebooks of a profile have found, a line a check")
    card.add_argument("--profile", default="quick")
    card.set_defaults(run=_scorecard)
    record = commands.add_parser("record", help="copy a profile's figures from out/ to figures/, to be committed")
    record.add_argument("--profile", default="quick")
    record.set_defaults(run=_record)
    return parser


def _execute(asked: argparse.Namespace) -> int:
    parameters: dict[str, Any] = execute.profile_parameters(asked.profile, asked.notebook.name[:2])
    for file in asked.f:
        parameters |= execute.read_yaml(file)
    parameters |= {name: execute.parse_value(text) for name, text in asked.p}
    output = asked.output or reproduce.OUT / asked.profile / asked.notebook.name
    done = execute.execute(asked.notebook, output, parameters)
    print(f"{done.path}: {done.seconds:.0f} s")
    return 0


def _reproduce(asked: argparse.Namespace) -> int:
    failed = reproduce.reproduce(asked.profile, lambda line: print(line, flush=True))
    card = scorecard.load(asked.profile, reproduce.OUT / asked.profile)
    print("\n".join([card.summary(), *card.remarks()]))
    return 1 if failed or card.failed else 0


def _scorecard(asked: argparse.Namespace) -> int:
    card = scorecard.load(asked.profile, reproduce.OUT / asked.profile)
    if not card.results:
        raise ConfigError(card.summary())
    print("\n".join(card.lines()))
    return 1 if card.failed else 0


def _record(asked: argparse.Namespace) -> int:
    profile = execute.profile_folder(asked.profile).name
    folders = sorted(path for path in (reproduce.OUT / profile).glob("[0-9][0-9]") if path.is_dir())
    if not folders:
        raise ConfigError(f"out/{asked.profile} holds no figures: run make figures PROFILE={asked.profile} first")
    for folder in folders:
        shutil.copytree(folder, origin.ROOT / "figures" / folder.name, dirs_exist_ok=True)
        print(f"figures/{folder.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
