"""Files that are complete or absent: each is written under a temporary name, flushed to the disk and renamed."""

import json
import os
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from cudfkd.base.errors import ConfigError, DataError


def folder_path(name: str, given: object) -> Path:
    """Returns the absolute path of a folder, so that a later change of the working folder does not move it.

    Arguments:
        name: name of the argument, for the error line.
        given: the path that the user passed.

    Raises:
        ConfigError: it is no path, or it is empty.
    """
    if not isinstance(given, str | os.PathLike) or not os.fspath(given):
        raise ConfigError(f"{name} = {given!r} is not allowed: it must be the path of a folder")
    return Path(given).absolute()


def make_folder(path: Path) -> list[Path]:
    """Makes a folder that can be written, and its missing parents; returns the new folders, innermost last.

    Raises:
        DataError: the folder cannot be made or written; the new folders are removed again.
    """
    created: list[Path] = []
    try:
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(exist_ok=True)
            created.append(folder)
        with TemporaryFile(dir=path):
            return created
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        remove_empty(created)
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DataError(f"{path} cannot be written ({why}): choose another folder") from error


def remove_empty(folders: list[Path]) -> None:
    """Removes the folders that `make_folder` made, from the last to the first, until one is not empty."""
    with suppress(OSError):
        for folder in reversed(folders):
            folder.rmdir()


def write_bytes(path: Path, content: bytes) -> None:
    """Replaces the file at `path` by `content` in one step: a reader sees the full old file or the full new file.

    Raises:
        DataError: the file cannot be written; an old file stays as it was.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise DataError(f"{path} cannot be written ({error.strerror}): choose another folder or make room") from error


def write_json(path: Path, content: Any) -> None:
    """Writes plain data as JSON that ends in a newline. NaN and infinity become null, because JSON has neither."""
    write_bytes(path, (json.dumps(_finite(content), indent=2, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> dict:
    """Reads the JSON object in a file.

    Raises:
        DataError: the file is missing, unreadable or no JSON object, or an object in it has a name twice.
    """

    def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if len(content) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise DataError(f"{path} is damaged (it holds {twice!r} twice): run it again in another folder")
        return content

    try:
        content = json.loads(path.read_text(), object_pairs_hook=distinct)
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is missing or damaged: run it again in another folder") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} is damaged (it holds no JSON object): run it again in another folder")
    return content


def write_json_lines(path: Path, rows: list[dict]) -> None:
    """Writes one JSON object per line. NaN and infinity become null."""
    write_bytes(path, "".join(json.dumps(_finite(row), allow_nan=False) + "\n" for row in rows).encode())


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and (value != value or abs(value) == float("inf")) else value
