"""The gallery: its page decides which figures are recorded."""

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from analysis.evidence import gallery
from cudfkd.base.errors import ConfigError

PAGE = "# Gallery\n\n![A line falls.](01/falls.png)\n\nIt falls.\n\n![Three bars.](02/bars.png)\n\nThey stand.\n"


def draw(path):
    """A figure with many colours, in three files."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 60, 3), dtype=np.uint8))
    words = PngImagePlugin.PngInfo()
    words.add_text("Description", f"{path.name} of λ")
    image.save(path.with_suffix(".png"), pnginfo=words, dpi=(150, 150))
    for kind in (".pdf", ".json"):
        path.with_suffix(kind).write_text(path.name)


def test_only_figures_of_the_gallery_are_kept(tmp_path):
    made, folder = tmp_path / "out", tmp_path / "figures"
    for place in (made / "01", made / "03", folder):
        place.mkdir(parents=True)
    (folder / "README.md").write_text(PAGE)
    for name in ("01/falls", "01/other", "03/third"):
        draw(made / name)
    (made / "01" / "result.json").write_text("{}")
    assert gallery.descriptions(folder) == {"01/falls": "A line falls.", "02/bars": "Three bars."}
    assert gallery.keep(made, folder) == ["01/falls"]
    kept = {str(path.relative_to(folder)) for path in folder.rglob("*.*")}
    assert kept == {"README.md", "01/falls.png", "01/falls.pdf", "01/falls.json", "01/result.json"}
    with Image.open(folder / "01" / "falls.png") as image:
        assert image.text == {"Description": "falls of λ"}
        assert image.mode == "P"  # a palette of at most 256 colours


def test_a_folder_without_the_page_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="which names the figures"):
        gallery.descriptions(tmp_path)
