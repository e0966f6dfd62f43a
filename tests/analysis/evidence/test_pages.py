"""HTML pages of executed notebooks: their links, their list, and what a browser shows in the dark and on a phone."""

import re
import shutil
from base64 import b64encode
from importlib.util import find_spec
from io import BytesIO

import nbformat
import pytest
from PIL import Image

from analysis.evidence import pages
from analysis.evidence.form import links
from analysis.origin import NOTEBOOKS

NAMES = [path.stem for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))]
DONE = NAMES[1]


@pytest.fixture
def executed(tmp_path):
    """An executed notebook with links, a wide figure, a wide table and a long formula."""
    picture = BytesIO()
    Image.new("RGB", (1500, 400)).save(picture, "png")
    new = nbformat.v4
    drawn = new.new_output("display_data", {"image/png": b64encode(picture.getvalue()).decode()})
    wide = " | ".join(["column"] * 30)
    texts = [
        "# Middle\n\nSee the [claims](../docs/claims.md#c1) and [a figure](../figures/README.md).",
        links(DONE, NAMES),
        f"| {wide} |\n|{'---|' * 30}\n| {wide} |\n\n$$\n{' + '.join(['a_1 b_1'] * 60)}\n$$",
    ]
    cells = [new.new_markdown_cell(text) for text in texts] + [
        new.new_code_cell("x = 1  # " + 200 * "x", outputs=[drawn])
    ]
    path = tmp_path / f"{DONE}.ipynb"
    nbformat.write(new.new_notebook(cells=cells), path)
    return path


def hrefs(page) -> list[str]:
    return [link for link in re.findall(r'href="([^"#]+)', page.read_text()) if not link.startswith("data:")]


def test_a_page_leads_to_the_list_and_the_list_to_the_pages(executed):
    page = pages.to_html(executed, listed=True)
    assert hrefs(page) == [f"{NAMES[0]}.html", "index.html", f"{NAMES[2]}.html"]
    index = executed.parent / "index.html"
    assert hrefs(index) == [f"{DONE}.html"]  # no page of another notebook is there
    text = index.read_text()
    assert "<title>All notebooks</title>" in text
    assert len(re.findall(r"<td>(?:<a [^>]+>)?\d\d ", text)) == len(NAMES)
    assert "toctree" not in text


def test_links_to_documents_are_words_on_a_page(executed):
    text = pages.to_html(executed, listed=True).read_text()
    assert "See the claims and a figure." in text


def test_a_page_by_itself_has_no_link_to_a_list(executed):
    page = pages.to_html(executed)
    assert "All notebooks" not in page.read_text()
    assert not (executed.parent / "index.html").exists()


def test_a_project_without_the_documents_has_no_list(executed, monkeypatch):
    monkeypatch.setattr(pages, "LIST", executed.parent / "gone.md")
    assert "All notebooks" not in pages.to_html(executed, listed=True).read_text()
    assert not (executed.parent / "index.html").exists()


@pytest.mark.slow
def test_a_browser_shows_pages_in_the_dark_and_on_a_phone(executed):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if not browser or not find_spec("playwright"):
        pytest.skip("there is no Chromium, or no Playwright")
    from playwright.sync_api import sync_playwright

    pages.to_html(executed, listed=True)
    with sync_playwright() as playwright:
        window = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        backgrounds = {}
        for scheme, width in (("dark", 390), ("light", 1280)):
            page = window.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
            for file in sorted(executed.parent.glob("*.html")):
                page.goto(file.as_uri())
                page.evaluate("MathJax.startup.promise.then(() => true)")
                assert page.evaluate("document.documentElement.scrollWidth") <= width, file
            page.goto(executed.with_suffix(".html").as_uri())
            drawn = page.locator("img").first.bounding_box()["width"]
            backgrounds[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert 600 < drawn < (700 if width < 500 else width)
        window.close()
    assert backgrounds == {"dark": "rgb(17, 17, 17)", "light": "rgb(255, 255, 255)"}
