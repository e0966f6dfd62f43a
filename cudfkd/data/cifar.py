"""CIFAR-10 and CIFAR-100 in torchvision's layout: folders cifar-10-batches-py and cifar-100-python.

The files are Python pickles, which run code when they are loaded. So each file is opened only if its MD5 is the
published MD5. It is checked twice: here, so that the message can name the file, and again by torchvision.

dev is every 25th of the 50,000 training images, in the order of the files, which their authors shuffled. These are
2,000 images: about 200 for each class of CIFAR-10, and 20 for each class of CIFAR-100.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from cudfkd.data.catalog import DataInfo
from cudfkd.data.images import held_out
from cudfkd.data.places import cache, import_torchvision, verify
from cudfkd.data.source import Source

DEV_EVERY = 25


@dataclass(frozen=True)
class Cifar(Source):
    """Source of CIFAR-10 or CIFAR-100, see the module."""

    info: DataInfo
    torchvision_name: str
    """name of the class in torchvision.datasets"""
    base: str
    """the folder of the files"""
    names: tuple[str, ...]
    """names of the files in this folder"""
    archive: str
    """name of the published archive"""

    @property
    def advice(self) -> str:
        where = "in a folder and name it with --data-root or CUDFKD_DATA"
        return f"unpack {self.archive} (www.cs.toronto.edu/~kriz) {where}"

    def files(self, split: str) -> tuple[str, ...]:  # noqa: ARG002
        return tuple(f"{self.base}/{name}" for name in self.names)

    def folders(self, asked: Path | None) -> list[Path]:
        if asked is None:
            return [cache()]
        return [asked, asked / self.info.name, *([asked.parent] if asked.name == self.base else [])]

    def download(self, split: str) -> None:  # noqa: ARG002
        self._torchvision_class()(str(cache()), download=True)

    def read(self, split: str, data_root: str | Path | None) -> tuple[Tensor, Tensor]:
        root, reader = self.folder(split, data_root), self._torchvision_class()
        for name, md5 in [*reader.train_list, *reader.test_list, (reader.meta["filename"], reader.meta["md5"])]:
            verify(root / self.base / name, md5)
        published = reader(str(root), train=split != "test")
        pixels, labels = torch.from_numpy(published.data).permute(0, 3, 1, 2), torch.tensor(published.targets)
        if split != "test":
            keep = held_out(len(labels), DEV_EVERY) == (split == "dev")
            pixels, labels = pixels[keep], labels[keep]
        return pixels.contiguous(), labels

    def _torchvision_class(self):
        return getattr(import_torchvision().datasets, self.torchvision_name)
