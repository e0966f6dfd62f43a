"""Places of the project's code, of its notebooks and of what they write; and the commit of the code.

CODE    the folder of the packages: the checkout, or the folder that pip installed into
ROOT    the folder of the notebooks: a copy that holds the working folder, made by `cudfkd notebooks DIR`;
        else the checkout, or the files of the wheel
OUT     ROOT/out, or out/ of the working folder if that lies outside ROOT
"""

import subprocess
from pathlib import Path

CODE = Path(__file__).resolve().parent.parent
SHIPPED = CODE / "cudfkd" / "assets"


def _root(here: Path) -> Path:
    """The folder that holds notebooks/ and profiles/, for a process in the working folder `here`."""
    places = (here, *here.parents, CODE)
    return next((place for place in places if _holds_notebooks(place)), SHIPPED)


def _holds_notebooks(place: Path) -> bool:
    return all((place / name).is_dir() for name in ("notebooks", "profiles"))


ROOT = _root(Path.cwd())
NOTEBOOKS = ROOT / "notebooks"
PROFILES = ROOT / "profiles"
OUT = (ROOT if Path.cwd().is_relative_to(ROOT) else Path.cwd()) / "out"


def commit() -> str:
    """The commit of the code, with "+changes" if tracked files have changed since; "unknown" outside a git checkout."""
    if not (CODE / ".git").exists():
        return "unknown"
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        return head + ("+changes" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=CODE, capture_output=True, text=True, check=True)
    return done.stdout.strip()
