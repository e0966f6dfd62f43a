"""SVHN, cropped digits, in torchvision's layout: train_32x32.mat and test_32x32.mat. Its "extra" images are not used.

Digits of one house number follow each other in the file, and are cut from the same photograph. If dev were every n-th
image, neighbours of its images would stay in train. So dev is every 37th block of 100 images in a row: 2,000 of 73,257
images. The classes are as unequal in dev as in the complete set: house numbers have more digits 1 than 9. The file's
label 10 is the digit 0.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cudfkd.base.errors import DataError
from cudfkd.data.catalog import SVHN
from cudfkd.data.images import held_out
from cudfkd.data.places import cache, import_torchvision, verify
from cudfkd.data.source import Source

DEV_EVERY, DEV_BLOCK = 37, 100


class Svhn(Source):
    """Source of SVHN, see the module."""

    info = SVHN
    advice = (
        "put train_32x32.mat and test_32x32.mat (ufldl.stanford.edu/housenumbers) into a folder and name it with"
        " --data-root or CUDFKD_DATA"
    )

    def files(self, split: str) -> tuple[str, ...]:
        return (f"{_part(split)}_32x32.mat",)

    def folders(self, asked: Path | None) -> list[Path]:
        return [asked, asked / "svhn", asked / "SVHN"] if asked else [cache()]

    def download(self, split: str) -> None:
        try:
            import_torchvision().datasets.SVHN(str(cache()), split=_part(split), download=True)
        except ImportError as error:
            raise DataError(_NO_SCIPY) from error

    def read(self, split: str, data_root: str | Path | None) -> tuple[Tensor, Tensor]:
        folder, reader = self.folder(split, data_root), import_torchvision().datasets.SVHN
        _, name, md5 = reader.split_list[_part(split)]
        verify(folder / name, md5)
        try:
            published = reader(str(folder), split=_part(split))
        except ImportError as error:
            raise DataError(_NO_SCIPY) from error
        pixels, labels = torch.from_numpy(np.ascontiguousarray(published.data)), torch.from_numpy(published.labels)
        if split != "test":
            keep = held_out(len(labels), DEV_EVERY, DEV_BLOCK) == (split == "dev")
            pixels, labels = pixels[keep], labels[keep]
        return pixels, labels


_NO_SCIPY = "SVHN's .mat files are read by scipy, which is not installed: pip install scipy"


def _part(split: str) -> str:
    return "test" if split == "test" else "train"
