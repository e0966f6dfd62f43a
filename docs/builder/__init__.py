"""A Sphinx extension: what the site needs beyond its pages.

pages        the generated parts of pages, at lines such as `<!-- here: claims -->`
notebooks    the executed notebooks in place of the stripped notebooks
docstrings   this project's docstrings as reStructuredText
moving       the numbers of the figures that move
slides       slides of the lecture path
"""

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from docs.builder import docstrings, notebooks, pages, reference, slides


def setup(app: Sphinx) -> dict[str, Any]:
    """Connects the extension."""
    app.add_config_value("profile", "quick", "env", str)
    app.connect("builder-inited", lambda _: reference.load())
    app.connect("source-read", _read)
    app.connect("autodoc-process-docstring", docstrings.process)
    app.connect("autodoc-skip-member", reference.skipped)
    app.connect("autodoc-process-signature", reference.signature)
    app.connect("build-finished", _add_slides)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _read(app: Sphinx, name: str, source: list[str]) -> None:
    """Replaces the text of a page or notebook before Sphinx parses it."""
    if app.env.doc2path(name).suffix == ".ipynb":
        source[0] = notebooks.shown(name.removeprefix("notebooks/"), source[0], app.config.profile)
    else:
        source[0] = pages.filled(source[0], app.config.profile)


def _add_slides(app: Sphinx, error: Exception | None) -> None:
    """Writes the slides beside the pages."""
    if error is None and app.builder.format == "html":
        slides.write(Path(app.outdir), app.config.profile)
