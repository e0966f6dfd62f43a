"""CIFAR-10 and CIFAR-100 as their authors published them, and in the forms of `cudfkd.data.cifar_forms`.

The published files, in torchvision's layout (cifar-10-batches-py and cifar-100-python), come before the other forms.
They are Python pickles, which run code when they are loaded. So each file is opened only if its MD5 is the published
MD5. It is checked twice: here, so that the message can name the file, and again by torchvision.

All forms give the same images in the same order, and the same dev, see `cudfkd.data.by_content`: dev has 2,000 of the
50,000 training images, 200 for each class of CIFAR-10, and 20 for each class of CIFAR-100. A rule by position would
need the order of the published files, which the other forms have lost. File names would not do either, because the
archives have none. The images themselves are in all forms, and CIFAR-100 holds some of them twice.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from cudfkd.data.by_content import hashes, held_out, order
from cudfkd.data.catalog import DataInfo
from cudfkd.data.cifar_forms import form_in, read_form
from cudfkd.data.places import Found, asked_for, cache, import_torchvision, verify
from cudfkd.data.source import SPLITS, Source


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
        forms = f"class folders of PNG files (train/CLASS, test/CLASS) and {self.info.name}.npz are read, too"
        return f"unpack {self.archive} (www.cs.toronto.edu/~kriz) {where}; {forms}"

    def files(self, split: str) -> tuple[str, ...]:  # noqa: ARG002
        return tuple(f"{self.base}/{name}" for name in self.names)

    def folders(self, asked: Path | None) -> list[Path]:
        if asked is None:
            return [cache()]
        return [asked, asked / self.info.name, *([asked.parent] if asked.name == self.base else [])]

    def download(self, split: str) -> None:  # noqa: ARG002
        self._torchvision_class()(str(cache()), download=True)

    def locate(self, data_root: str | Path | None = None, splits: tuple[str, ...] = SPLITS) -> Found:
        published = super().locate(data_root, splits)
        other = self._other_form(data_root) if published.missing else None
        return Found(other, ()) if other else published

    def read(self, split: str, data_root: str | Path | None) -> tuple[Tensor, Tensor]:
        part = "test" if split == "test" else "train"
        place = self.folder(split, data_root)
        is_published = not super().locate(data_root).missing
        pixels, labels = self._published(place, part) if is_published else read_form(place, part, self.info)
        keys = hashes(pixels)
        chosen = order(keys, labels)
        if split != "test":
            chosen = chosen[(held_out(keys, labels) == (split == "dev"))[chosen]]
        return pixels[chosen], labels[chosen]

    def _other_form(self, data_root: str | Path | None) -> Path | None:
        root = asked_for(data_root) or cache()
        return form_in([root / self.info.name, root], self.info)

    def _published(self, root: Path, part: str) -> tuple[Tensor, Tensor]:
        reader = self._torchvision_class()
        for name, md5 in [*reader.train_list, *reader.test_list, (reader.meta["filename"], reader.meta["md5"])]:
            verify(root / self.base / name, md5)
        published = reader(str(root), train=part == "train")
        pixels = torch.from_numpy(published.data).permute(0, 3, 1, 2).contiguous()
        return pixels, torch.tensor(published.targets)

    def _torchvision_class(self):
        return getattr(import_torchvision().datasets, self.torchvision_name)
