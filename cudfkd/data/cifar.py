"""CIFAR-10 and CIFAR-100 in torchvision's layout: folders cifar-10-batches-py and cifar-100-python.

Their files are Python pickles, which run code when they are loaded. So each is opened only after its MD5 was found to
be the published one, here (to name the file) and again by torchvision. dev is every 25th of the 50,000 training images
in the order of the files, which their authors shuffled: 2,000 images, about 200 a class in CIFAR-10, 20 in CIFAR-100.
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
    """See the module."""

    info: DataInfo
    torchvision_name: str
    base: str
    """the folder of the files"""
    names: tuple[str, ...]
    archive: str

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
        root, kind = self.folder(split, data_root), self._torchvision_class()
        for name, md5 in [*kind.train_list, *kind.test_list, (kind.meta["filename"], kind.meta["md5"])]:
            verify(root / self.base / name, md5)
        whole = kind(str(root), train=split != "test")
        pixels, labels = torch.from_numpy(whole.data).permute(0, 3, 1, 2), torch.tensor(whole.targets)
        if split != "test":
            keep = held_out(len(labels), DEV_EVERY) == (split == "dev")
            pixels, labels = pixels[keep], labels[keep]
        return pixels.contiguous(), labels

    def _torchvision_class(self):
        return getattr(import_torchvision().datasets, self.torchvision_name)
