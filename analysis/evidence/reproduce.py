"""Runs all notebooks of a profile, one after the other, and writes an HTML page of each."""

from collections.abc import Callable
from pathlib import Path

from analysis.evidence.execute import NotebookError, execute
from analysis.evidence.pages import to_html
from analysis.evidence.parameters import profile_folder, profile_parameters
from analysis.origin import NOTEBOOKS, OUT


def notebooks_of(profile: str) -> list[Path]:
    """The notebooks for which a profile has parameters, in reading order. Raises ConfigError for an unknown profile."""
    folder = profile_folder(profile)
    every = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    return [path for path in every if (folder / f"{path.name[:2]}.yaml").exists()]


def reproduce(profile: str, say: Callable[[str], object]) -> list[NotebookError]:
    """Executes the profile's notebooks into out/PROFILE and returns the failures. The run goes on after a failure.

    Arguments:
        profile: a folder of profiles/.
        say: a function that takes a line of progress.
    """
    failed = []
    for notebook in notebooks_of(profile):
        number = notebook.name[:2]
        say(f"{notebook.stem} ...")
        try:
            done = execute(notebook, OUT / profile / notebook.name, profile_parameters(profile, number))
        except NotebookError as error:
            say(f"  failed: {error}")
            failed.append(error)
            continue
        say(f"  {done.seconds:.0f} s: {_shown(to_html(done.path, listed=True))}")
    return failed


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
