"""The gallery: figures/README.md names each recorded figure, with its description and caption."""

import re
import shutil
from pathlib import Path

from PIL import Image, PngImagePlugin

from cudfkd.base.errors import ConfigError

FIGURE = re.compile(r"^!\[(.+)\]\((.+)\.png\)$", re.MULTILINE)
COLOURS = 256  # of a recorded image; it is then a third as large, and looks the same


def descriptions(folder: Path) -> dict[str, str]:
    """The description of each recorded figure, by its name, for example "09/drift".

    folder: figures/.

    Raises:
        ConfigError: the folder has no README.md, as in a copy of the notebooks alone.
    """
    page = folder / "README.md"
    if not page.is_file():
        raise ConfigError(f"there is no {page}, which names the figures of the gallery: record them in a checkout")
    return {name: description for description, name in FIGURE.findall(page.read_text(encoding="utf-8"))}


def keep(made: Path, folder: Path) -> list[str]:
    """Copies the figures of the gallery that were made, with their numbers and the results of their notebooks.

    Arguments:
        made: the figures of a profile, out/PROFILE. Figures without a place in the gallery stay there.
        folder: figures/.

    Returns:
        The names of the copied figures.

    Raises:
        ConfigError: see `descriptions`.
    """
    names = [name for name in descriptions(folder) if (made / f"{name}.png").exists()]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        _image(made / f"{name}.png", folder / f"{name}.png")
        for kind in (".pdf", ".json"):
            shutil.copy(made / f"{name}{kind}", folder / f"{name}{kind}")
    for number in {name.split("/")[0] for name in names}:
        shutil.copy(made / number / "result.json", folder / number / "result.json")
    return names


def _image(made: Path, kept: Path) -> None:
    """Copies an image with fewer colours, and the words that are stored in it."""
    with Image.open(made) as image:
        assert isinstance(image, PngImagePlugin.PngImageFile)
        words = PngImagePlugin.PngInfo()
        for key, text in image.text.items():
            words.add_itxt(key, text)
        few = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        few.save(kept, pnginfo=words, optimize=True, dpi=image.info["dpi"])
