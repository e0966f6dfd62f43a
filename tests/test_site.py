"""The site: its pages, its generated parts, and what a browser gets. The slow tests build it whole."""

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path

import nbformat
import pytest
import torch
import yaml

import cudfkd
from analysis.evidence import claims
from analysis.origin import NOTEBOOKS, ROOT
from analysis.theory.algebra import symbolic
from analysis.theory.algebra.families import FAMILIES
from cudfkd import methods

sphinx = pytest.importorskip("sphinx", reason="the extra `site` is not installed")

from docs.builder import docstrings, moving, notebooks, pages, reference, slides  # noqa: E402

DOCS = ROOT / "docs"
PAGES = [path for path in sorted(DOCS.rglob("*.md")) if "builder" not in path.parts]
NAMES = [path.stem for path in sorted(NOTEBOOKS.glob("*.ipynb"))]
HOWTOS = ["first-run", "own-teacher", "own-data", "new-regularizer"]
LOADED = {"link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src", "object": "data"}
LARGEST = 160_000  # bytes of a recorded image, so that a clone and a page stay small


class Page(HTMLParser):
    """Reads a page: what a browser loads for it, its links, its title, and its images without a description."""

    def __init__(self, path: Path):
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.silent: list[str] = []
        self.ids: set[str] = set()
        self.title = ""
        self._in_title = False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.ids |= {values["id"]} if values.get("id") else set()
        self._in_title = tag == "title" and not self.title
        if tag in LOADED and values.get(LOADED[tag]):
            self.loaded.append(values[LOADED[tag]])
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if tag == "img" and not values.get("alt", "").strip():
            self.silent.append(values["src"])

    def handle_endtag(self, tag):
        self._in_title = self._in_title and tag != "title"

    def handle_data(self, data):
        self.title += data if self._in_title else ""


def build(folder: Path, *options: str) -> subprocess.CompletedProcess:
    """Builds the site into a folder."""
    command = [sys.executable, "-m", "sphinx", "--quiet", "-c", "docs", "-d", str(folder / "cache"), *options]
    return subprocess.run([*command, ".", str(folder / "site")], cwd=ROOT, capture_output=True, text=True)


def toctree(path: Path) -> list[str]:
    """The entries of a page's toctrees."""
    blocks = re.findall(r"```\{toctree\}\n(.*?)```", path.read_text(), re.S)
    lines = [line for block in blocks for line in block.splitlines() if line and not line.startswith(":")]
    return [re.sub(r".*<(.*)>", r"\1", line) for line in lines]


def blocks(page: str) -> list[str]:
    """The Python code of a page."""
    return re.findall(r"```python\n(.*?)```", (DOCS / f"{page}.md").read_text(), re.S)


def test_every_page_is_in_the_table_of_contents():
    listed = [entry for page in PAGES for entry in toctree(page)]
    inside = {entry for entry in listed if not entry.startswith("../") and entry != "self"}
    assert {str(path.relative_to(DOCS).with_suffix("")) for path in PAGES} == inside | {"index"}
    above = {"README", "CHANGELOG", "ERRORS", "CONTRIBUTING", "notebooks/*", "figures/README", "benchmarks/README"}
    assert {f"../{name}" for name in above} <= set(listed)


def test_every_generated_part_has_its_place():
    places = [name for path in PAGES for name in pages.HERE.findall(path.read_text())]
    assert {name.split()[0] for name in places} == {*pages.PARTS, "api"}


def test_an_unknown_part_is_an_error():
    with pytest.raises(KeyError, match="clams"):
        pages.filled("<!-- here: clams -->", "quick")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_page_holds_its_generated_parts(path):
    page, text = path.relative_to(ROOT).as_posix(), path.read_text()
    assert text == pages.written(text, page), f"{page} is out of date: run {pages.COMMAND} (make pages)"


def test_a_page_keeps_its_own_text_and_a_second_writing_changes_nothing():
    text = "Before.\n\n<!-- here: map -->\n\nold\n\n<!-- end: map -->\n\nBetween.\n\n<!-- here: weights -->\n\nAfter.\n"
    once = pages.written(text, "docs/some.md")
    assert [line for line in once.splitlines() if line in ("Before.", "old", "Between.", "After.")] == [
        "Before.",
        "Between.",
        "After.",
    ]
    assert pages.notebook_map() in once
    assert "out/site/docs/some.html" in once
    assert pages.written(once, "docs/some.md") == once
    assert "<!--" not in pages.filled(once, "quick")


def test_the_parts_of_committed_pages_have_no_roles_that_the_site_alone_can_follow():
    for path in set(PAGES) - {DOCS / "notation.md"}:
        assert not re.search(r"\{(py:\w+|eq|ref|doc|term)\}`", path.read_text()), path


def test_every_mention_of_a_notebook_is_a_link():
    for path in {*PAGES, ROOT / "README.md", ROOT / "figures" / "README.md"} - {DOCS / "notation.md"}:
        plain = re.findall(r"(?<!\[)\b[Nn]otebooks? \d\d\b", path.read_text())
        assert plain == [], (path, plain)


def test_the_results_page_lists_the_checks_that_do_not_hold():
    (shown,) = re.findall(r"^\| what does not hold .*\n\|.*\n((?:\|.*\n)+)", (DOCS / "results.md").read_text(), re.M)
    checks = pages.recorded().rows()
    failing = checks[checks["verdict"] != "holds"]
    linked = re.findall(r"\[(\d\d)\]\(\.\./notebooks/", shown)
    assert sorted(linked) == sorted(failing["notebook"])


def test_every_module_is_in_the_reference():
    paths = [path for page in PAGES for name in pages.HERE.findall(page.read_text()) for path in name.split()[1:]]
    listed = [module for path in paths for module in reference.modules(path)]
    every = [module for package in ("cudfkd", "analysis") for module in reference.modules(package)]
    assert sorted(listed) == sorted(set(every) - {"cudfkd", "analysis"})


def test_the_map_holds_every_notebook():
    assert list(notebooks.MAP) == [name[:2] for name in NAMES]
    shown = pages.notebook_map()
    assert all(f"../notebooks/{name}.ipynb" in shown for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_and_the_list_say_the_recorded_time(name):
    first = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4).cells[0].source
    assert re.search(r"takes about (.+?) on two CPU cores", first)[1] == notebooks.time(name)
    listed = (NOTEBOOKS / "README.md").read_text(encoding="utf-8")
    (row,) = re.findall(rf"^\| \[{name}\].*", listed, re.M)
    assert row.split(" | ")[-1] == f"{notebooks.time(name)} |"


def test_every_recorded_figure_is_in_the_gallery_with_a_caption_and_a_description():
    recorded = {f"{path.parent.name}/{path.stem}" for path in (ROOT / "figures").glob("*/*.png")}
    page = (ROOT / "figures" / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"^!\[(.+)\]\((.+)\.png\)\n\n([^!#].+)$", page, re.M)
    assert {name for _, name, _ in shown} == recorded == set(notebooks.DESCRIPTIONS)
    assert all(alt.endswith(".") for alt in notebooks.DESCRIPTIONS.values())
    assert [name for name in recorded if (ROOT / "figures" / f"{name}.png").stat().st_size > LARGEST] == []


def test_the_start_page_shows_every_claim_with_a_verdict():
    rows = pages.claim_table(pages.card("quick")).splitlines()[2:]
    assert [re.match(r"\| \[(C\d)\]", row)[1] for row in rows] == [claim.id for claim in claims.CLAIMS]
    words = {"supported", "not supported", "inconclusive", "not tested yet"}
    assert all(re.search(r"\*\*(.+?)\*\* \|$", row)[1] in words for row in rows)


def test_the_claims_page_shows_the_checks_that_bear_on_a_claim():
    made = pages.card("quick")
    sections = re.split(r"^## ", pages.claim_sections(made), flags=re.M)[1:]
    assert [section.split()[0] for section in sections] == [claim.id for claim in claims.CLAIMS]
    checks = made.rows()
    for section in sections:
        bearing = checks.loc[[section.split()[0] in some.split(", ") for some in checks["claims"]]]
        assert all(f"| {name} |" in section for name in bearing["check"])


def test_bibtex_agrees_with_the_citation_file():
    bibtex = (DOCS / "citing.md").read_text()
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    (paper,) = citation["references"]
    authors = " and ".join(f"{one['family-names']}, {one['given-names']}" for one in paper["authors"])
    values = [paper["title"], authors, paper["journal"], paper["volume"], paper["start"], paper["year"]]
    assert all(f"{{{value}}}" in bibtex for value in [*values, citation["title"], citation["version"]])
    assert paper["url"].rsplit("/", 1)[1] in bibtex


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The loss `l` of a*b.", r"The loss ``l`` of a\*b."),
        ("Sum:\n\n    a_i + |b|", "Sum:\n\n::\n\n    a_i + |b|"),
        ("Arguments:\n    x: a number,\n        or none.", ":param x: a number, or none."),
        ("Raises:\n    ConfigError: x_ is bad.", r":raises ConfigError: x\_ is bad."),
        ("Returns:\n    The sum.", ":returns: The sum."),
        ("id: a name.\nsize: a number.", "- ``id``: a name.\n- ``size``: a number."),
        ("Either:\n\n- one, which\n  goes on\n- two", "Either:\n\n- one, which\n  goes on\n- two"),
        ("0     success\n1     failure", "::\n\n    0     success\n    1     failure"),
    ],
)
def test_docstrings_become_restructured_text(text, expected):
    assert docstrings.to_rst(text) == expected


def test_the_reference_says_defaults_and_bases():
    assert reference.facts("attribute", "cudfkd.curriculum.Curriculum.lam_start", 2.0) == ["", "Default: ``2.0``."]
    assert reference.facts("attribute", "cudfkd.regularizers.Hard.name", "hard") == []
    (_, line) = reference.facts("class", "cudfkd.regularizers.Hard", cudfkd.regularizers.Hard)
    assert line == "Based on :py:class:`Regularizer <cudfkd.regularizers.Regularizer>`."


def test_a_notebook_that_was_not_run_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(notebooks, "ROOT", tmp_path)
    notebooks.why_not.cache_clear()
    shown = nbformat.reads(notebooks.shown(NAMES[0], (NOTEBOOKS / f"{NAMES[0]}.ipynb").read_text(), "quick"), 4)
    assert "it was not run" in shown.cells[1].source
    assert "make figures PROFILE=quick" in shown.cells[1].source


def test_an_executed_notebook_gets_descriptions_and_folds_long_outputs(tmp_path, monkeypatch):
    new = nbformat.v4
    drawn = new.new_output("display_data", {"image/png": "", notebooks.WIDGET: {}})
    long = new.new_output("execute_result", {"text/plain": "\n".join("a" * 40)})
    short = new.new_output("stream", text="2")
    outputs = {'record.figure("learning", plot)': drawn, "record.result({})": long, "1 + 1": short}
    cells = [new.new_code_cell(source, outputs=[output]) for source, output in outputs.items()]
    notebook = new.new_notebook(cells=cells, metadata={"widgets": {}})
    monkeypatch.setattr(notebooks, "ROOT", tmp_path)
    monkeypatch.setattr(notebooks, "why_not", lambda *_: "")
    notebooks.executed(NAMES[0], "quick").parent.mkdir(parents=True)
    nbformat.write(notebook, notebooks.executed(NAMES[0], "quick"))
    figure, result, last = nbformat.reads(notebooks.shown(NAMES[0], "", "quick"), 4).cells
    assert figure.metadata.mystnb.image.alt == notebooks.DESCRIPTIONS["00/learning"]
    assert notebooks.WIDGET not in figure.outputs[0].data
    assert result.metadata.tags == ["hide-output"]
    assert "tags" not in last.metadata


def test_formulas_in_tables_keep_their_cell():
    text = "| $|F''|$ | $\\|x\\|$ |\n\nand $|v|$"
    assert notebooks.without_bars(text) == "| $\\vert F''\\vert $ | $\\Vert x\\Vert $ |\n\nand $|v|$"


def test_a_figure_without_a_written_description_is_described_by_its_axes(tmp_path, monkeypatch):
    monkeypatch.setattr(notebooks, "ROOT", tmp_path)
    folder = tmp_path / "out" / "quick" / "04"
    folder.mkdir(parents=True)
    axes = {"title": "Falls", "xlabel": "step", "ylabel": "loss", "named": ["log"]}
    (folder / "fall.json").write_text(json.dumps({"axes": [axes]}))
    assert notebooks.description("04", "fall", "quick") == "Falls: loss over step: log"


def test_a_cell_that_draws_several_figures_describes_each(tmp_path, monkeypatch):
    monkeypatch.setattr(notebooks, "ROOT", tmp_path)
    folder = tmp_path / "out" / "quick" / "09"
    folder.mkdir(parents=True)
    for name in ("pace_linear", "pace_log"):
        (folder / f"{name}.png").touch()
    cell = nbformat.v4.new_code_cell('for name in names:\n    record.figure(f"pace_{name}", plots.paces(name))')
    notebooks._prepare(cell, "09", "quick")
    words = [notebooks.DESCRIPTIONS[f"09/{name}"] for name in ("pace_linear", "pace_log")]
    assert cell.metadata.mystnb.image.alt == " Next figure: ".join(words)


def test_slides_hold_text_and_figures_and_begin_at_headings():
    new = nbformat.v4
    drawn = [new.new_output("display_data", {"image/png": ""}), new.new_output("stream", text="log")]
    skipped = new.new_markdown_cell("left out", metadata={"slideshow": {"slide_type": "skip"}})
    long = "\n\n".join(["word " * 80] * 6)
    cells = [
        new.new_markdown_cell("# Title\n\n*This notebook takes a second.*\n\n**Claim.** It falls."),
        new.new_code_cell("1 + 1", outputs=[new.new_output("execute_result", {"text/plain": "2"})]),
        new.new_markdown_cell("## Why\n\n$$\n\na\n\n$$\n\n### Figure"),
        new.new_code_cell("draw()", outputs=drawn),
        skipped,
        new.new_markdown_cell(f"{long}\n\n## Exercises\n\n1. None.\n\n<details>\n\nSolved.\n\n</details>"),
    ]
    deck = slides.slides(new.new_notebook(cells=cells), NAMES[0]).cells
    starts = [(cell.metadata.slideshow.slide_type, cell.source) for cell in deck if cell.source.startswith("## ")]
    title = ("slide", "## Title")
    assert starts == [title, ("slide", "## Why"), *[("subslide", "## Why: Figure")] * 3]
    shown = "\n".join(cell.source for cell in deck)
    assert "**Claim.** It falls." in shown
    assert "$$\n\na\n\n$$" in shown
    assert not any(word in shown for word in ("second", "left out", "Exercises", "Solved", "1 + 1"))
    (figure,) = (cell for cell in deck if cell.cell_type == "code")
    assert [output.output_type for output in figure.outputs] == ["display_data"]


def test_formulas_of_a_slide_stay_whole():
    formula = "$$ a = b\n\n+ c $$"
    assert list(slides._blocks(f"First.\n\n{formula}\n\nLast.")) == ["First.", formula, "Last."]


def test_links_of_a_slide_lead_to_the_pages_of_notebooks():
    (shown,) = slides._blocks("See [05](05_step.ipynb) and [a part](06_grow.ipynb#cost).")
    assert shown == "See [05](../notebooks/05_step.html) and [a part](../notebooks/06_grow.html#cost)."
    assert list(slides._blocks("The [map](../docs/index.md).")) == ["The [map](../docs/index.html)."]


@pytest.mark.parametrize("figure", [moving.weights(), moving.account()], ids=["weights", "account"])
def test_the_frames_of_moving_figures_fit(figure):
    frames = len(figure["values"])
    for lines in figure["choices"].values():
        for line in lines:
            assert all(len(y) == len(line["x"]) for y in line["y"])
            assert len(line["y"]) == frames or len(line["y"][0]) == frames


def test_the_weights_that_move_are_those_of_the_library():
    figure = moving.weights()
    frame, line = figure["values"].index(2.0), figure["choices"][""][0]
    loss = torch.tensor(line["x"], dtype=torch.float64)
    expected = cudfkd.regularizers.get("log").weight(loss, 2.0)
    assert torch.allclose(torch.tensor(line["y"][frame], dtype=torch.float64), expected, atol=1e-4)


@pytest.mark.parametrize("page", HOWTOS)
def test_the_code_of_the_how_to_pages_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert blocks(page)
    for code in blocks(page):
        exec(compile(code, page, "exec"), {"__name__": page})


def test_the_theory_proves_the_example_of_a_new_regularizer(monkeypatch):
    names: dict = {"__name__": "new_regularizer"}
    for code in blocks("new-regularizer"):
        exec(compile(code, "new-regularizer", "exec"), names)
    monkeypatch.setitem(cudfkd.regularizers._BY_NAME, "geman-mcclure", names["GemanMcClure"])
    monkeypatch.setitem(FAMILIES, "geman-mcclure", names["_geman_mcclure"]())
    assert symbolic.derive("geman-mcclure").proved


def test_the_example_of_a_new_method_runs(tmp_path, monkeypatch):
    (source,) = blocks("new-method")
    (tmp_path / "plain.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(methods._METHODS, "plain", __import__("plain"))
    config = cudfkd.DistillConfig(method="plain", epochs=1, steps_per_epoch=2, batch_size=8)
    run = cudfkd.get_or_run(cudfkd.Experiment(distill=config), tmp_path / "runs")
    assert len(run.history) == 1
    assert "one_hot_term" in run.history


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The whole site; a warning is an error."""
    folder = tmp_path_factory.mktemp("whole")
    done = build(folder, "--fail-on-warning", "--keep-going")
    assert done.returncode == 0, done.stderr
    return folder / "site"


def require_no_other_host(site: Path) -> None:
    """Requires that no page and no style sheet loads anything from another host, and that what they load is there."""
    for path in site.rglob("*.html"):
        for target in Page(path).loaded:
            assert not re.match(r"(https?:)?//", target), (path.name, target)
            assert target.startswith("data:") or (path.parent / target.split("?")[0].split("#")[0]).exists(), target
    for path in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//|@import", path.read_text(encoding="utf-8")), path


@pytest.mark.slow
def test_the_whole_site_needs_no_other_host(whole):
    assert len(list(whole.rglob("*.html"))) >= 60
    require_no_other_host(whole)
    assert "tex-svg-full.js" in (whole / "docs" / "claims.html").read_text()
    assert (whole / "_static" / "tex-svg-full.js").stat().st_size > 1e6
    assert "docs/index.html" in (whole / "index.html").read_text()


@pytest.mark.slow
def test_images_of_the_whole_site_are_described_and_titles_differ(whole):
    read = [
        Page(path) for path in sorted((whole / "docs").glob("*.html")) + sorted((whole / "notebooks").glob("*.html"))
    ]
    assert all(page.silent == [] for page in read)
    assert len({page.title for page in read}) == len(read)


@pytest.mark.slow
def test_figures_that_move_are_in_their_page(whole):
    text = (whole / "docs" / "moving.html").read_text()
    assert re.findall(r'class="moving" id="([\w-]+)"', text) == ["moving-weights", "moving-account"]
    for data in re.findall(r'<script type="application/json">(.*?)</script>', text):
        assert {"slider", "values", "panels", "choices"} <= json.loads(data).keys()


@pytest.mark.slow
def test_slides_are_in_the_site(whole):
    listed = [link for link in Page(whole / "docs" / "slides.html").links if "slides/" in link]
    written = sorted((whole / "slides").glob("*.html"))
    assert [path.stem[:2] for path in written] == list(slides.LECTURE)
    assert [(whole / "docs" / link).resolve() for link in listed] == written
    for path in written:
        text = path.read_text()
        assert text.count("<section") > 10
        assert "../_static/tex-svg-full.js" in text


@pytest.mark.slow
def test_the_whole_site_is_built_without_a_warning(whole):
    assert {path.stem for path in (whole / "notebooks").glob("*.html")} == {*NAMES, "README"}
    expected = {path.relative_to(ROOT).with_suffix(".html") for path in PAGES}
    assert expected <= {path.relative_to(whole) for path in whole.rglob("*.html")}
    require_no_other_host(whole)


@pytest.mark.slow
def test_the_links_of_the_whole_site_lead_somewhere(whole):
    read = {path: Page(path) for path in whole.rglob("*.html")}
    for path, page in read.items():
        for link in page.links:
            if not re.match(r"\w+:|//", link):
                target, _, anchor = link.partition("#")
                place = (path.parent / target).resolve() if target else path
                assert place.exists(), (path.name, link)
                assert not anchor or place not in read or anchor in read[place].ids, (path.name, link)


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)], ids=["desktop", "phone"])
def test_a_browser_shows_the_whole_site_without_an_error(whole, width, height):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if not browser or not find_spec("playwright"):
        pytest.skip("there is no Chromium, or no Playwright")
    from playwright.sync_api import sync_playwright

    said, asked = [], []
    with sync_playwright() as playwright:
        window = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = window.new_page(viewport={"width": width, "height": height})
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto((whole / "index.html").as_uri())
        page.wait_for_url("**/docs/index.html")
        for path in sorted(set(whole.rglob("*.html")) - {whole / "index.html"}):
            page.goto(path.as_uri())
            page.evaluate("window.MathJax ? MathJax.startup.promise.then(() => true) : true")
            assert page.evaluate("document.querySelectorAll('[data-mjx-error]').length") == 0, path
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        require_a_slider_that_moves(page, (whole / "docs" / "moving.html").as_uri())
        page.goto((whole / "search.html").as_uri() + "?q=regularizer")
        page.wait_for_selector("#search-results li a")
        window.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def require_a_slider_that_moves(page, address: str) -> None:
    """Requires that an arrow key on the first slider changes the figure."""
    page.goto(address)
    line = page.locator("#moving-weights path.line").first
    before = line.get_attribute("d")
    page.locator("#moving-weights input").press("ArrowRight")
    assert line.get_attribute("d") != before
