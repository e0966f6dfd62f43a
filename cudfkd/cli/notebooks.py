"""The command `cudfkd notebooks`: a copy of the notebooks and of the documents, to be read, run and changed."""

import argparse
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from shlex import quote

from cudfkd.base.console import say
from cudfkd.base.errors import ConfigError
from cudfkd.base.files import make_folder, write_bytes
from cudfkd.cli import flags
from cudfkd.data import ASSETS

CHECKOUT = ASSETS.parent.parent  # of an editable install
KINDS = (
    *("notebooks/*.ipynb", "notebooks/*.md", "profiles/*/*.yaml"),
    *("docs/*.md", "docs/reference/*.md", "*.md"),  # where their links lead
    *("figures/README.md", "figures/*/*.png", "benchmarks/README.md", "benchmarks/results/*.png"),
)


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `cudfkd notebooks`."""
    parser.add_argument("folder", type=flags.path, metavar="DIR", help="the new folder; nothing is ever overwritten")
    parser.set_defaults(run=_notebooks)


def _notebooks(args: argparse.Namespace) -> None:
    folder: Path = args.folder
    make_folder(folder)
    if any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty: name a new folder, so that nothing in it is overwritten")
    copied = list(_files())
    for name, file in copied:
        write_bytes(folder / name, file.read_bytes())
    count = sum(name.suffix == ".ipynb" for name, _ in copied)
    say(f"{folder}: {count} notebooks, profiles with their parameters, and documents")
    if not (find_spec("jupyterlab") and find_spec("papermill")):
        say("to run them, install the extra first: pip install 'cudfkd[notebooks]'")
    say(f"open them: jupyter lab {quote(str(folder))}")
    say(f"or run all: cd {quote(str(folder))}, then python -m analysis reproduce")


def _files() -> Iterator[tuple[Path, Path]]:
    """The files to copy, each with its place in the new folder: from the wheel, or else from the checkout."""
    source = ASSETS if (ASSETS / "notebooks").is_dir() else CHECKOUT
    for kind in KINDS:
        for file in sorted(source.glob(kind)):
            yield file.relative_to(source), file
