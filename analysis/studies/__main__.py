"""`python -m analysis.studies list | record | tune | check | take | tables | figures | costs | cost`.

A study is named by its name, or by its file, whose record then lies beside it. The record of a grid is
out/grid/NAME/record.json.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from analysis.studies import catalog, cost, grid, records, reports, run, study, table, tuning
from analysis.studies.again import again
from analysis.studies.study import Study
from analysis.studies.tuning import search
from cudfkd import methods
from cudfkd.base import command
from cudfkd.base.command import Parser
from cudfkd.base.console import say
from cudfkd.base.errors import ConfigError
from cudfkd.base.files import write_json


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code: 0, 1 if a repeated run differs, 2 for bad input."""

    def program() -> int | None:
        requested = _parser().parse_args(arguments)
        return requested.run(requested)

    line = "interrupted; finished runs are recorded, and the same command goes on"
    return command.run("analysis.studies", program, interrupted=line)


def _parser() -> Parser:
    parser = Parser(prog="python -m analysis.studies", description="Many runs, and their records.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)

    def add(name: str, function: Callable[[argparse.Namespace], int | None], text: str) -> Parser:
        inner = commands.add_parser(name, help=text, description=text)
        inner.set_defaults(run=function)
        return inner

    add("list", _list, "the studies, their questions, and how many runs their records lack")
    fill = add("record", _record, "run what a record lacks")
    fill.add_argument("study", help="name or file of a study, or a grid")
    fill.add_argument("cases", nargs="*", metavar="CASE", help="only these cases")
    fill.add_argument("--seeds", type=int, nargs="+", default=[], help="only these seeds")
    fill.add_argument("--processes", type=int, default=0, help="k runs at a time, each in a process of its own")
    tune = add("tune", _tune, "go on with the search for each method's settings")
    tune.add_argument("methods", nargs="*", metavar="METHOD", help="only these methods")
    tune.add_argument("--processes", type=int, default=0, help="k methods at a time, each in a process of its own")
    tune.add_argument("--minutes", type=float, help="start no run that would end later than in so many minutes")
    repeat = add("check", _check, "run one again and compare it with its record")
    repeat.add_argument("study", help="name or file of a study")
    repeat.add_argument("case")
    repeat.add_argument("seed", type=int)
    repeat.add_argument("--tolerance", type=float, help="of every number, relative to max(1, recorded)")
    take = add("take", _take, "the folder of a finished run as a record")
    take.add_argument("folder", type=Path)
    take.add_argument("out", type=Path, help="the record's file")
    tables = add("tables", _tables, "a row a run, and a row a method")
    figures = add("figures", _figures, "methods side by side, from records that may be compared with each other")
    for drawn in (tables, figures):
        drawn.add_argument("out", type=Path, help="folder")
    figures.add_argument("title", help="printed on the figures")
    for drawn in (tables, figures):
        drawn.add_argument("records", type=Path, nargs="+")
    add("costs", _costs, "write what `cudfkd methods` says of seconds and memory, from the record of methods")
    plan = add("cost", _cost, "how long a grid takes")
    plan.add_argument("grid", type=Path, help="a grid's YAML file")
    plan.add_argument("rates", type=Path, nargs="*", help="files with measured rates, besides the known rates")
    return parser


def _list(requested: argparse.Namespace) -> None:  # noqa: ARG001
    for name in catalog.names():
        described = catalog.get(name)
        record = records.begun(described, records.path_of(name))
        if name == tuning.NAME:
            state = f"{len(tuning.complete(record))} of {len(methods.names())} methods complete"
        else:
            missing = len(records.lacking(described, record))
            runs = len(described.cases) * len(described.seeds)
            state = f"{missing} of {runs} runs lacking" if missing else "complete"
        say(f"{name:<12} {state:<26} {described.purpose.question}")


def _record(requested: argparse.Namespace) -> None:
    described, path, root = _study(requested.study)
    if described.name == tuning.NAME:
        raise ConfigError("study tuning is a search: its command is python -m analysis.studies tune")
    for line in run.fill(
        described, path, processes=requested.processes, labels=requested.cases, seeds=requested.seeds,
        data_root=root,
    ):  # fmt: skip
        say(line)


def _tune(requested: argparse.Namespace) -> None:
    for line in search.tune(
        records.path_of(tuning.NAME), requested.methods, processes=requested.processes, minutes=requested.minutes
    ):
        say(line)


def _check(requested: argparse.Namespace) -> int:
    described, path, _ = _study(requested.study)
    repeat = again(described, records.read(path), requested.case, requested.seed, requested.tolerance)
    say(repeat.numbers.to_string(float_format=lambda value: f"{value:.6g}"))
    where = "the same" if repeat.same_machine else "another"
    if repeat.differing:
        say(f"differ, on {where} machine than the record's: {', '.join(repeat.differing)}")
        return 1
    say(f"the same as recorded, within the tolerance for {where} machine")
    return 0


def _take(requested: argparse.Namespace) -> None:
    records.write(requested.out, run.of_folder(requested.folder))


def _tables(requested: argparse.Namespace) -> None:
    reports.tables(requested.out, reports.union(requested.records))


def _figures(requested: argparse.Namespace) -> None:
    reports.figures(requested.out, requested.title, reports.union(requested.records))


def _costs(requested: argparse.Namespace) -> None:  # noqa: ARG001
    write_json(methods.COSTS, table.costs(table.frame(records.load("methods"))))


def _cost(requested: argparse.Namespace) -> None:
    for line in cost.lines(grid.load(requested.grid), cost.known(requested.rates)):
        say(line)


def _study(name: str) -> tuple[Study, Path, Path | None]:
    """A study, the file of its record, and the folder of its data: by name, or from a file of a study or of a grid."""
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        return catalog.get(name), records.path_of(name), None
    values = study.values_of(path)
    if "pairs" in values:
        crossed = grid.read(values)
        root = Path(crossed.data_root) if crossed.data_root else None
        return crossed.study(), crossed.folder / "record.json", root
    return study.of(values, path.parent), path.with_suffix(".json"), None


if __name__ == "__main__":
    sys.exit(main())
