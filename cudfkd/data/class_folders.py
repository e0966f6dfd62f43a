"""Lists of image files in class folders: FOLDER/CLASS/FILE. Making a list opens no image.

Lists are sorted by name, so the order on the disk does not count. Names that begin with a dot are left out, and so are
the files that systems leave in folders of images.
"""

import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cudfkd.base.errors import DataError

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
LITTER = {"thumbs.db", "desktop.ini", "__macosx"}


@dataclass(frozen=True)
class Listing:
    """The image files of one split.

    folder: the folder that holds the class folders.
    classes: names of the class folders, sorted.
    files: paths of the images relative to `folder`, sorted by class and then by name.
    numbers: for each file, the index of its class in `classes`.
    key: hash of `files`, and of their sizes and times of change.
    """

    folder: Path
    classes: tuple[str, ...]
    files: tuple[str, ...]
    numbers: tuple[int, ...]
    key: str

    def path(self, index: int) -> Path:
        """The path of a file."""
        return self.folder / self.files[index]


def listed(folder: Path, endings: tuple[str, ...] = ENDINGS) -> Listing:
    """Lists the images of a folder of class folders.

    Raises:
        DataError: it is no folder, or holds no class folders; an image lies beside the class folders; a class folder
            holds no image, a folder, an empty file, or a file that does not end in one of `endings`.
    """
    inside = entries(folder)
    classes = tuple(name for name, entry in inside.items() if _is_folder(entry))
    loose = next((name for name in inside if name not in classes and name.lower().endswith(ENDINGS)), None)
    if loose:
        raise DataError(f"{folder / loose} lies in no class folder: move it to {folder}/CLASS")
    if not classes:
        raise DataError(f"{folder} holds no class folders: put the images into {folder}/CLASS")
    files: list[str] = []
    numbers: list[int] = []
    states: list[str] = []
    for number, name in enumerate(classes):
        within = entries(folder / name)
        if not within:
            raise DataError(f"the class folder {folder / name} holds no images: fill or remove it")
        for file, entry in within.items():
            files.append(f"{name}/{file}")
            states.append(f"{name}/{file}\0{_checked(entry, endings)}")
        numbers += [number] * len(within)
    key = sha256("\0".join(states).encode(errors="surrogateescape")).hexdigest()
    return Listing(folder, classes, tuple(files), tuple(numbers), key)


def entries(folder: Path) -> dict[str, os.DirEntry[str]]:
    """The files and folders in a folder by their names, sorted. Raises DataError if it is none or cannot be read."""
    try:
        with os.scandir(folder) as listed:
            kept = [entry for entry in listed if entry.name[0] != "." and entry.name.lower() not in LITTER]
    except FileNotFoundError as error:
        raise DataError(f"there is no folder {folder}: name the folder of the images") from error
    except NotADirectoryError as error:
        raise DataError(f"{folder} is a file: name the folder of the images") from error
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        raise DataError(f"{folder} cannot be read ({error}): mend its permissions or its name") from error
    return {entry.name: entry for entry in sorted(kept, key=lambda entry: entry.name)}


def folders(folder: Path) -> list[str]:
    """The names of the folders in a folder, sorted. Raises as `entries`."""
    return [name for name, entry in entries(folder).items() if _is_folder(entry)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _checked(entry: os.DirEntry[str], endings: tuple[str, ...]) -> str:
    """Size in bytes and time of the last change of a file, as text. Raises DataError if it can be no image."""
    if _is_folder(entry):
        raise DataError(f"{entry.path} is a folder in a class folder: a class folder holds images alone")
    if not entry.name.lower().endswith(endings):
        allowed = ", ".join(endings)
        raise DataError(f"{entry.path} is not taken for an image (known here: {allowed}): convert or remove it")
    try:
        about = entry.stat()
    except OSError as error:
        raise DataError(f"{entry.path} cannot be read ({error.strerror}): copy it again, or remove it") from error
    if not about.st_size:
        raise DataError(f"{entry.path} is empty: copy it again, or remove it")
    return f"{about.st_size} {about.st_mtime_ns}"
