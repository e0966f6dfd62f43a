"""Fashion-MNIST. The splits dev and test ship with the package; the training images are looked for, or downloaded.

dev is every 30th of the 60,000 training images: 2,000 images. fashion-mnist-32 is made of the same files. Its images
have a border of two black pixels, for networks that take 32 x 32 pixels.
"""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor
from torch.nn.functional import pad

from cudfkd.base.errors import DataError
from cudfkd.data.catalog import FASHION_MNIST, DataInfo
from cudfkd.data.idx import read_idx
from cudfkd.data.images import held_out
from cudfkd.data.places import cache, import_torchvision, there
from cudfkd.data.source import Source

ASSETS = Path(__file__).parent.parent / "assets"
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
DEV_EVERY = 30

# SHA-256 of the uncompressed idx files
SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    "dev-images-idx3-ubyte": "fc65ba84a80f53fa98f7b8a2d1fe3d09a036101c319b35b7289c3cd4fabb5a6a",
    "dev-labels-idx1-ubyte": "24d8db230e50a8861c4322cd2c0c926747794abeb9f99955df5962204052dd49",
}


@dataclass(frozen=True)
class FashionMnist(Source):
    """Source of Fashion-MNIST, see the module."""

    info: DataInfo = FASHION_MNIST
    advice = (
        "install Debian's package dataset-fashion-mnist, or put the four idx files into a folder and name it with"
        " --data-root or CUDFKD_DATA"
    )
    endings = (".gz", "")

    def files(self, split: str) -> tuple[str, ...]:
        return ("train-images-idx3-ubyte", "train-labels-idx1-ubyte") if split == "train" else ()

    def folders(self, asked: Path | None) -> list[Path]:
        inside = Path("FashionMNIST") / "raw"
        return [asked, asked / "fashion-mnist", asked / inside] if asked else [DEBIAN, cache() / inside]

    def download(self, split: str) -> None:
        import_torchvision().datasets.FashionMNIST(str(cache()), train=split != "test", download=True)

    def read(self, split: str, data_root: str | Path | None) -> tuple[Tensor, Tensor]:
        if split == "train":
            images, labels = full_training_set(data_root)
            keep = ~held_out(len(labels), DEV_EVERY)
            images, labels = images[keep], labels[keep]
        else:
            images, labels = _read_pair(ASSETS / FASHION_MNIST.name, {"dev": "dev", "test": "t10k"}[split])
        border = (self.info.image_size - FASHION_MNIST.image_size) // 2
        return pad(images.unsqueeze(1), [border] * 4), labels


def full_training_set(data_root: str | Path | None = None) -> tuple[Tensor, Tensor]:
    """All 60,000 training images of Fashion-MNIST, uint8 of shape (n, 28, 28), and their labels. dev is included."""
    return _read_pair(FashionMnist().folder("train", data_root), "train")


def _read_pair(folder: Path, prefix: str) -> tuple[Tensor, Tensor]:
    """The images and the labels of the files whose names begin with `prefix`."""
    return _read(folder, f"{prefix}-images-idx3-ubyte"), _read(folder, f"{prefix}-labels-idx1-ubyte")


def _read(folder: Path, stem: str) -> Tensor:
    path = there(folder / stem, FashionMnist.endings)
    if path is None:
        raise DataError(f"{stem}.gz is missing from {folder}: reinstall cudfkd, or name a complete folder")
    return read_idx(path, SHA256[stem])
