"""Folders of the data sets: the folder that the user names, else the usual folders. Also checks of the files."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from cudfkd.base.errors import DataError


class Found(NamedTuple):
    """Result of a search: the folder that lacks the fewest files of a data set; the first such folder in a tie."""

    folder: Path | None
    """the folder; None if no folder holds any of the files"""
    missing: tuple[str, ...]
    """the files that are missing, relative to the folder"""


def asked_for(data_root: str | Path | None) -> Path | None:
    """The folder that the user names: `data_root`, else CUDFKD_DATA, else None. No other folder may replace it."""
    requested = data_root or os.environ.get("CUDFKD_DATA")
    return Path(_expanded(requested)) if requested else None


def cache() -> Path:
    """The folder for downloads, in torchvision's layout."""
    return Path(os.environ.get("XDG_CACHE_HOME") or _expanded("~/.cache")) / "cudfkd"


def find(files: Sequence[str], folders: Sequence[Path], endings: Sequence[str] = ("",)) -> Found:
    """Finds the folder that holds most of `files`, each under its name plus one of `endings`. Opens no file."""
    results = [Found(folder, tuple(name for name in files if not there(folder / name, endings))) for folder in folders]
    best = min(results, key=lambda result: len(result.missing))
    return best if len(best.missing) < len(files) else Found(None, tuple(files))


def there(path: Path, endings: Sequence[str] = ("",)) -> Path | None:
    """The file or folder `path` with the first of `endings` that exists; None if none exists."""
    try:
        return next((p for p in (path.with_name(path.name + ending) for ending in endings) if p.exists()), None)
    except OSError:  # the system forbids access to a folder of the path
        return None


def verify(path: Path, md5: str) -> None:
    """Raises DataError unless the file `path` has the MD5 `md5` that its authors published."""
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): fetch the file again") from error
    if digest.hexdigest() != md5:
        raise DataError(f"{path} is not the published file (its MD5 differs): delete it and fetch it again")


def import_torchvision() -> ModuleType:
    """Imports torchvision. Raises DataError with the reason if that fails. The data sets that ship do not need it."""
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
    """The path with ~ replaced by the home folder. Unlike Path.expanduser, it raises no error without a home folder."""
    return os.path.expanduser(path)  # noqa: PTH111
