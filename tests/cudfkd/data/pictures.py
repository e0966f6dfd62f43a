"""Small folders of images, made up for the tests. Files are made in a random order, so that no test leans on it."""

import random
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("eel", "ant", "bee")


def picture(number: int, size: int | tuple[int, int] = 8, channels: int = 3) -> np.ndarray:
    """The bytes of image `number`, (height, width) or (height, width, 3): random, so all images differ."""
    shape = (size, size) if isinstance(size, int) else size
    full = shape if channels == 1 else (*shape, channels)
    return np.random.default_rng(number).integers(0, 256, full).astype(np.uint8)


def write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **({"lossless": True} if path.suffix == ".webp" else {}))


def make(
    root: Path, each: dict[str, int], classes=CLASSES, size=8, channels: int = 3, ending: str = ".png", seed: int = 0
) -> Path:
    """Writes each[part] images of every class to ROOT/PART/CLASS, or to ROOT/CLASS for the part "". Returns ROOT.

    Image `number` counts through parts, then sorted classes, then files. `seed` shuffles only the order of writing.
    """
    jobs = [(part, name, file) for part in each for name in sorted(classes) for file in range(each[part])]
    numbered = list(enumerate(jobs))
    random.Random(seed).shuffle(numbered)
    for number, (part, name, file) in numbered:
        write(root / part / name / f"{file}{ending}", picture(number, size, channels))
    return root
