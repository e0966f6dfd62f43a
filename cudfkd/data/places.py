"""Where data sets lie: the folder asked for, else the usual ones. And whether what lies there is what it should be."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from cudfkd.base.errors import DataError


class Found(NamedTuple):
    """Where a data set lies: the first folder with the fewest of its files missing."""

    folder: Path | None
    """None: not one of its files is in any folder that was looked into"""
    missing: tuple[str, ...]
    """files that are not there, relative to the folder"""


def asked_for(data_root: str | Path | None) -> Path | None:
    """The folder that was asked for: `data_root`, else the one that CUDFKD_DATA names. Nothing may stand in for it."""
    asked = data_root or os.environ.get("CUDFKD_DATA")
    return Path(_expanded(asked)) if asked else None


def cache() -> Path:
    """Where downloads go, in torchvision's own layout."""
    return Path(os.environ.get("XDG_CACHE_HOME") or _expanded("~/.cache")) / "cudfkd"


def find(files: Sequence[str], folders: Sequence[Path], endings: Sequence[str] = ("",)) -> Found:
    """The folder where most of `files` are, each under its name or its name with an ending. Opens none of them."""
    found = [Found(folder, tuple(name for name in files if not there(folder / name, endings))) for folder in folders]
    best = min(found, key=lambda one: len(one.missing))
    return best if len(best.missing) < len(files) else Found(None, tuple(files))


def there(path: Path, endings: Sequence[str] = ("",)) -> Path | None:
    """The file or folder of that name, with the first of the endings that exists."""
    try:
        return next((p for p in (path.with_name(path.name + ending) for ending in endings) if p.exists()), None)
    except OSError:  # a folder on the way that may not be entered
        return None


def verify(path: Path, md5: str) -> None:
    """Raises DataError unless `path` has this MD5: the file that its authors published."""
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): fetch the file again") from error
    if digest.hexdigest() != md5:
        raise DataError(f"{path} is not the published file (its MD5 differs): delete it and fetch it again")


def import_torchvision() -> ModuleType:
    """torchvision, or a DataError that says why it does not import; the data sets that ship do without it."""
    try:
        import torchvision
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:150]
        raise DataError(
            f"torchvision does not import ({reason}): the known cause is an ordinary torchvision beside a CPU-only"
            " torch; install both anew in one pip command and from one source"
        ) from error
    return torchvision


def _expanded(path: str | Path) -> str:
    """With ~ replaced by the home folder; unlike Path.expanduser, nothing is raised where there is none."""
    return os.path.expanduser(path)  # noqa: PTH111
