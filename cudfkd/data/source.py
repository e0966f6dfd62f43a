"""What all data sets have in common: finding files, fetching them if no folder was named, saying what is missing."""

from abc import ABC, abstractmethod
from http.client import HTTPException
from pathlib import Path

from torch import Tensor

from cudfkd.base.errors import DataError
from cudfkd.data.catalog import DataInfo
from cudfkd.data.places import Found, asked_for, cache, find

SPLITS = ("train", "dev", "test")


class Source(ABC):
    """Where one data set comes from."""

    info: DataInfo
    advice: str
    """what to put where, as the end of an error's line"""
    endings: tuple[str, ...] = ("",)
    """what may be appended to the names of files"""

    @abstractmethod
    def files(self, split: str) -> tuple[str, ...]:
        """What must be there to read a split, relative to one of `folders`."""

    @abstractmethod
    def folders(self, asked: Path | None) -> list[Path]:
        """Where to look, in this order: in and below the folder that was asked for, else in the usual ones."""

    @abstractmethod
    def read(self, split: str, data_root: str | Path | None) -> tuple[Tensor, Tensor]:
        """One split: bytes (n, channels, size, size) and labels (n,). Raises DataError."""

    def download(self, split: str) -> None:  # noqa: B027
        """Fetches what `split` needs into `cache()`. Does nothing where a set offers no download."""

    def locate(self, data_root: str | Path | None = None, splits: tuple[str, ...] = SPLITS) -> Found:
        """Where the files of these splits are. Nothing is opened or downloaded."""
        files = tuple(dict.fromkeys(name for split in splits for name in self.files(split)))
        return find(files, self.folders(asked_for(data_root)), self.endings)

    def folder(self, split: str, data_root: str | Path | None) -> Path:
        """The folder that holds all files of a split; they are downloaded only if no folder was asked for.

        Raises:
            DataError: not there, incomplete, or not to be downloaded; the line says what to put where.
        """
        found, asked = self.locate(data_root, (split,)), asked_for(data_root)
        if found.missing and asked is None:
            self._download(split)
            found = self.locate(data_root, (split,))
        if found.folder is None:
            raise DataError(f"{self.info.name}: no {found.missing[0]} in {asked or cache()}: {self.advice}")
        if found.missing:
            raise DataError(f"{found.folder / found.missing[0]} is missing: {self.advice}")
        return found.folder

    def _download(self, split: str) -> None:
        try:
            self.download(split)
        except (OSError, RuntimeError, HTTPException) as error:
            what = f"{self.info.name} is not on this machine and could not be downloaded"
            raise DataError(f"{what}: {self.advice}") from error
