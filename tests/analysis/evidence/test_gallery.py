"""The gallery: its page decides which figures are recorded."""

import pytest

from analysis.evidence import gallery
from cudfkd.base.errors import ConfigError

PAGE = "# Gallery\n\n![A line falls.](01/falls.png)\n\nIt falls.\n\n![Three bars.](02/bars.png)\n\nThey stand.\n"


def test_only_figures_of_the_gallery_are_kept(tmp_path):
    made, folder = tmp_path / "out", tmp_path / "figures"
    for place in (made / "01", made / "03", folder):
        place.mkdir(parents=True)
    (folder / "README.md").write_text(PAGE)
    for name in ("01/falls", "01/other", "03/third"):
        for kind in gallery.KINDS:
            (made / f"{name}{kind}").write_text(name)
    (made / "01" / "result.json").write_text("{}")
    assert gallery.descriptions(folder) == {"01/falls": "A line falls.", "02/bars": "Three bars."}
    assert gallery.keep(made, folder) == ["01/falls"]
    kept = {str(path.relative_to(folder)) for path in folder.rglob("*.*")}
    assert kept == {"README.md", "01/falls.png", "01/falls.pdf", "01/falls.json", "01/result.json"}


def test_a_folder_without_the_page_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="which names the figures"):
        gallery.descriptions(tmp_path)
