"""Base class of the data sets: it finds files, downloads them if no folder was named, and reports missing files."""

from abc import ABC, abstractmethod
from http.client import HTTPException
from pathlib import Path

from torch import Tensor

from cudfkd.base.errors import DataError
from cudfkd.data.catalog import DataInfo
from cudfkd.data.places import Found, asked_for, cache, find

SPLITS = ("train", "dev", "test")


class Source(ABC):
    """Source of one data set."""

    info: DataInfo
    advice: str
    """which files to put where, as the end of an error message"""
    endings: tuple[str, ...] = ("",)
    """endings that may be appended to the names of files"""

    @abstractmethod
    def files(self, split: str) -> tuple[str, ...]:
        """The files that a split needs, relative to a folder of `folders`."""

    @abstractmethod
    def folders(self, asked: Path | None) -> list[Path]:
        """The folders to search, in order: `asked` and folders below it, or the usual folders if `asked` is None."""

    @abstractmethod
    def read(self, split: str, data_root: str | Path | None) -> tuple[Tensor, Tensor]:
        """Reads one split: bytes (n, channels, size, size) and labels (n,). Raises DataError."""

    def download(self, split: str) -> None:  # noqa: B027
        """Downloads the files of `split` into `cache()`. Does nothing if the data set offers no download."""

    def locate(self, data_root: str | Path | None = None, splits: tuple[str, ...] = SPLITS) -> Found:
        """Finds the files of `splits`. Opens and downloads nothing."""
        files = tuple(dict.fromkeys(name for split in splits for name in self.files(split)))
        return find(files, self.folders(asked_for(data_root)), self.endings)

    def folder(self, split: str, data_root: str | Path | None) -> Path:
        """The folder that holds all files of a split. They are downloaded only if the user named no folder.

        Raises:
            DataError: files are missing, or the download failed; the message says which files to put where.
        """
        place, requested = self.locate(data_root, (split,)), asked_for(data_root)
        if place.missing and requested is None:
            self._download(split)
            place = self.locate(data_root, (split,))
        if place.folder is None:
            raise DataError(f"{self.info.name}: no {place.missing[0]} in {requested or cache()}: {self.advice}")
        if place.missing:
            raise DataError(f"{place.folder / place.missing[0]} is missing: {self.advice}")
        return place.folder

    def _download(self, split: str) -> None:
        try:
            self.download(split)
        except (OSError, RuntimeError, HTTPException) as error:
            problem = f"{self.info.name} is not on this machine and could not be downloaded"
            raise DataError(f"{problem}: {self.advice}") from error
