"""`python -m analysis execute | reproduce | scorecard | map | record | tidy`.

Bad input gives a line and exit code 2.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from analysis import origin
from analysis.evidence import execute, form, gallery, pages, parameters, reproduce, scorecard
from analysis.paper import paper_map
from cudfkd.base import command
from cudfkd.base.command import Parser
from cudfkd.base.console import say
from cudfkd.base.errors import ConfigError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns the exit code.

    0     success
    1     a notebook or an exact check failed
    2     bad input
    130   interrupted
    """

    def program() -> int:
        options = _parser().parse_args(arguments)
        return options.run(options)

    line = "interrupted; finished runs are kept and found again"
    return command.run("analysis", program, failures=(execute.NotebookError,), interrupted=line)


def _parser() -> Parser:
    parser = Parser(prog="python -m analysis", description="Run the notebooks.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    single = commands.add_parser("execute", help="one notebook, with parameters")
    single.add_argument("notebook", type=Path)
    single.add_argument(
        "output",
        type=Path,
        nargs="?",
        help="default: out/PROFILE/NAME.ipynb; with other parameters out/changed/NAME.ipynb",
    )
    single.add_argument("-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), help="a parameter")
    single.add_argument(
        "-f", type=Path, action="append", default=[], metavar="FILE", help="parameters from a YAML file"
    )
    single.add_argument("--profile", default="quick", help="start from profiles/PROFILE [quick]")
    single.set_defaults(run=_execute)
    every = commands.add_parser("reproduce", help="all notebooks of a profile, their HTML pages, and the scorecard")
    every.add_argument("--profile", default="quick")
    every.set_defaults(run=_reproduce)
    card = commands.add_parser("scorecard", help="what the notebooks of a profile have found, a line a check")
    card.add_argument("--profile", default="quick")
    card.set_defaults(run=_scorecard)
    overview = commands.add_parser(
        "map", help="each figure, table and claim of the paper beside ours, from the records"
    )
    overview.set_defaults(run=_map)
    record = commands.add_parser("record", help="copy a profile's figures of the gallery from out/ to figures/")
    record.add_argument("--profile", default="quick")
    record.set_defaults(run=_record)
    tidy = commands.add_parser("tidy", help="bring the notebooks into the form in which they are committed")
    tidy.set_defaults(run=_tidy)
    return parser


def _execute(options: argparse.Namespace) -> int:
    values: dict[str, Any] = parameters.profile_parameters(options.profile, options.notebook.name[:2])
    for file in options.f:
        values |= parameters.read_yaml(file)
    values |= {name: parameters.parse_value(text) for name, text in options.p}
    folder = "changed" if parameters.changed(options.profile, options.notebook.name[:2], values) else options.profile
    output = options.output or reproduce.OUT / folder / options.notebook.name
    done = execute.execute(options.notebook, output, values)
    say(f"{pages.to_html(done.path, listed=options.output is None)}: {done.seconds:.0f} s")
    return 0


def _reproduce(options: argparse.Namespace) -> int:
    failed = reproduce.reproduce(options.profile, say)
    card = scorecard.load(options.profile, reproduce.OUT / options.profile)
    say("\n".join([card.summary(), *card.remarks()]))
    return 1 if failed or card.failed else 0


def _scorecard(options: argparse.Namespace) -> int:
    card = scorecard.load(options.profile, reproduce.OUT / options.profile)
    if not card.results:
        raise ConfigError(card.summary())
    say("\n".join(card.lines()))
    return 1 if card.failed else 0


def _map(options: argparse.Namespace) -> int:  # noqa: ARG001
    say("\n".join(paper_map.lines(paper_map.entries())))
    return 0


def _record(options: argparse.Namespace) -> int:
    profile = parameters.profile_folder(options.profile).name
    kept = gallery.keep(reproduce.OUT / profile, origin.ROOT / "figures")
    if not kept:
        raise ConfigError(f"out/{options.profile} holds no figures: run make figures PROFILE={options.profile} first")
    for name in kept:
        say(f"figures/{name}.png")
    return 0


def _tidy(options: argparse.Namespace) -> int:  # noqa: ARG001
    for path in form.tidy():
        say(f"{path.relative_to(origin.ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
