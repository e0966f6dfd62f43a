"""JupyterLab in a real browser, on a copy of the notebooks: what a reader does with them, and sees."""

import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import nbformat
import pytest

import cudfkd.cli
from analysis.evidence.parameters import profile_parameters
from analysis.origin import ROOT

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
MISSING = not BROWSER or not all(find_spec(name) for name in ("playwright", "jupyterlab", "papermill"))
pytestmark = [pytest.mark.slow, pytest.mark.skipif(MISSING, reason="there is no Chromium, Playwright or JupyterLab")]

SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},  # all cells are in the page, seen or not
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
RUN = "jupyterapp.commands.execute('notebook:run-all-cells')"
LONGEST = 600  # seconds for anything, on a busy machine
INTERRUPTED = {"epochs": 6, "steps_per_epoch": 40}


def with_values(path: Path, values: dict) -> None:
    """Writes values into a notebook, as papermill does."""
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    nbformat.write(parameterize_notebook(load_notebook_node(str(path)), values), path)


def git_status() -> str:
    return subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A copy of the notebooks with short parameters, and 00 a second time, with a training to be interrupted."""
    folder = tmp_path_factory.mktemp("lab") / "copy"
    assert cudfkd.cli.main(["notebooks", str(folder)]) == 0
    first, second = (next((folder / "notebooks").glob(f"{number}_*.ipynb")) for number in ("00", "01"))
    shutil.copy(first, first.with_name("interrupted.ipynb"))
    with_values(first.with_name("interrupted.ipynb"), profile_parameters("smoke", "00") | INTERRUPTED)
    with_values(first, profile_parameters("smoke", "00"))
    with_values(second, profile_parameters("smoke", "01") | {"slider": True})
    return folder


@pytest.fixture(scope="module")
def server(copy, tmp_path_factory):
    """The address of a JupyterLab on the copy, with settings of its own."""
    own = tmp_path_factory.mktemp("jupyter")
    for name, values in SETTINGS.items():
        file = own / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    places = {"JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces", "IPYTHONDIR": "ipython"}
    places |= {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_RUNTIME_DIR": "runtime"}
    options = [
        f"--port={port}",
        "--no-browser",
        "--allow-root",
        "--IdentityProvider.token=",
        "--ServerApp.ip=127.0.0.1",
    ]
    options += [f"--ServerApp.root_dir={copy}", "--LabApp.expose_app_in_browser=True"]
    environment = os.environ | {name: str(own / folder) for name, folder in places.items()}
    with open(own / "log", "w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options], cwd=copy, env=environment, stdout=log, stderr=log
        )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(lambda: answers(f"{address}/api"))
        yield address
    finally:
        process.terminate()
        process.wait(30)


def answers(address: str) -> bool:
    try:
        return urllib.request.urlopen(address, timeout=5).status == 200
    except OSError:
        return False


def wait_for(condition) -> None:
    end = time.monotonic() + LONGEST
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.3)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        window = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield window
        window.close()


@pytest.fixture
def opened(server, browser):
    """Opens a notebook by the beginning of its name; requires that nothing was asked of another host."""
    pages, asked = [], []

    def open_notebook(name: str, state: str = "idle"):
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        pages.append(page)
        page.set_default_timeout(LONGEST * 1000)
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{server}/lab/tree/notebooks/{name}.ipynb?reset")
        page.wait_for_selector(".jp-Notebook .jp-MarkdownOutput h1")
        kernel = "jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel"
        page.wait_for_function(f"{kernel}?.status && ['{state}', 'idle'].includes({kernel}.status)")
        return page

    yield open_notebook
    for page in pages:
        page.close()
    assert [url for url in asked if not url.startswith((server, server.replace("http", "ws"), "data:", "blob:"))] == []


def cells(page) -> list[dict]:
    """The cells of the open notebook, with their outputs."""
    return page.evaluate("jupyterapp.shell.currentWidget.content.model.toJSON().cells")


def outputs(page) -> list[dict]:
    return [output for cell in cells(page) for output in cell.get("outputs", [])]


def errors(page) -> list[dict]:
    return [output for output in outputs(page) if output["output_type"] == "error"]


def require_all_run(page) -> None:
    """Runs all cells, and requires that each came to its end."""
    page.evaluate(f"async () => {{ await {RUN}; }}")
    assert errors(page) == []
    assert all(cell["execution_count"] for cell in cells(page) if cell["cell_type"] == "code")


def test_the_first_notebook_runs_to_its_end_and_leaves_the_checkout_clean(opened, copy):
    before = git_status()
    page = opened("00_start_here")
    require_all_run(page)
    shown = [output["data"] for output in outputs(page) if "image/png" in output.get("data", {})]
    assert len(shown) == 2
    assert all(re.search(r'<img alt="\w', "".join(data["text/html"])) for data in shown)
    (line,) = ["".join(output["data"]["text/plain"]) for output in outputs(page)][-1:]
    assert "checks and findings hold" in line
    assert "\n" not in line
    page.evaluate("async () => { await jupyterapp.commands.execute('docmanager:save'); }")
    assert (copy / "out" / "smoke" / "00" / "result.json").exists()
    assert git_status() == before


def test_maths_is_drawn_and_links_and_solutions_work(opened):
    page = opened("01_one_sample_one_weight")
    page.wait_for_selector(".jp-Notebook mjx-container")
    assert page.locator(".jp-Notebook mjx-container").count() > 20
    assert page.locator(".jp-Notebook :is(mjx-merror, [data-mjx-error])").count() == 0
    details = page.locator(".jp-Notebook details").first
    assert details.evaluate("folded => folded.open") is False
    details.locator("summary").click()
    assert details.evaluate("folded => folded.open") is True
    page.locator(".jp-Notebook a", has_text="02 the latent loss").first.click()
    page.wait_for_function("jupyterapp.shell.currentWidget.title.label.startsWith('02_')")


def test_a_slider_moves_the_figure_while_it_is_dragged(opened):
    page = opened("01_one_sample_one_weight")
    require_all_run(page)
    image, handle = page.locator(".widget-html img"), page.locator(".widget-slider .noUi-handle").first
    image.scroll_into_view_if_needed()
    assert page.locator(".widget-slider").first.bounding_box()["width"] > 600
    box, before = handle.bounding_box(), image.get_attribute("alt")
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 90, y, steps=5)
    page.wait_for_function("before => document.querySelector('.widget-html img').alt !== before", arg=before)
    page.mouse.up()  # only now: the figure moved before
    assert re.fullmatch(r"λ = \d+(\.25|\.5|\.75)?, ℓ = 3: best weight v\* = 0\.\d{3}", image.get_attribute("alt"))
    times = [seconds_of_a_step(page, handle) for _ in range(7)]
    if os.getloadavg()[0] < (os.cpu_count() or 1):  # on a busy machine the time says nothing
        assert statistics.median(times) < 0.2


def seconds_of_a_step(page, handle) -> float:
    """The time from a key on a slider to the new figure, as the page sees it."""
    page.evaluate("""() => {
        const shown = document.querySelector(".widget-html-content");
        window.moved = new Promise(done => {
            let start;
            document.addEventListener("keydown", () => { start = performance.now(); }, {capture: true, once: true});
            new MutationObserver((_, self) => { self.disconnect(); done(performance.now() - start); })
                .observe(shown, {childList: true, subtree: true, attributes: true});
        });
    }""")
    handle.press("ArrowRight")
    return page.evaluate("window.moved") / 1000


def test_an_interrupted_training_says_how_to_go_on_and_does(opened, copy):
    page = opened("interrupted")
    page.evaluate(f"() => {{ window.running = {RUN}; }}")
    wait_for(lambda: any("epoch   1/6" in "".join(o.get("data", {}).get("text/plain", "")) for o in outputs(page)))
    seen = "\n".join("".join(output.get("data", {}).get("text/plain", "")) for output in outputs(page))
    assert re.search(r"\d % \|.* steps, \d\d:\d\d so far, \d\d:\d\d left", seen)
    page.evaluate(
        "async () => { await jupyterapp.commands.execute('notebook:interrupt-kernel'); await window.running; }"
    )
    (error,) = errors(page)
    assert error["ename"] == "Interrupted"
    assert len(error["traceback"]) == 1
    assert "run this again, and it goes on after its last whole epoch" in error["traceback"][0]
    require_all_run(page)
    runs = [path.read_text().splitlines() for path in (copy / "out" / "smoke" / "runs").glob("*/metrics.jsonl")]
    assert [json.loads(row)["epoch"] for row in max(runs, key=len)] == [1, 2, 3, 4, 5, 6]


def test_a_cell_that_is_run_again_in_a_reopened_page_waits_for_the_training(opened, copy):
    path = next((copy / "notebooks").glob("00_*.ipynb"))
    shutil.copy(path, path.with_name("reopened.ipynb"))
    with_values(path.with_name("reopened.ipynb"), INTERRUPTED | {"steps_per_epoch": 120, "seed": 1})
    page = opened("reopened")
    page.evaluate(f"() => {{ {RUN}; }}")
    wait_for(lambda: any("epoch   1/6" in "".join(o.get("data", {}).get("text/plain", "")) for o in outputs(page)))
    page.close()
    page = opened("reopened", state="busy")
    sources = ["".join(cell["source"]) for cell in cells(page)]
    (number,) = (place for place, source in enumerate(sources) if "[cudfkd.Progress()]" in source)
    page.evaluate(
        """async number => {
            jupyterapp.shell.currentWidget.content.activeCellIndex = number;
            await jupyterapp.commands.execute('notebook:run-cell');
        }""",
        number,
    )
    assert errors(page) == []
    (shown,) = cells(page)[number]["outputs"]
    assert "total_seconds" in "".join(shown["data"]["text/plain"])
    written = max((copy / "out").rglob("metrics.jsonl"), key=lambda file: file.stat().st_mtime).read_text()
    assert [json.loads(row)["epoch"] for row in written.splitlines()] == [1, 2, 3, 4, 5, 6]


def test_a_bad_parameter_is_one_line_in_the_cell(opened, copy):
    path = next((copy / "notebooks").glob("01_*.ipynb"))
    shutil.copy(path, path.with_name("bad.ipynb"))
    with_values(path.with_name("bad.ipynb"), {"profile": "qiuck"})
    page = opened("bad")
    page.evaluate(f"async () => {{ await {RUN}; }}")
    (error,) = errors(page)
    assert error["traceback"] == [
        "ConfigError: unknown profile 'qiuck': did you mean 'quick'? known: full, quick, smoke"
    ]
