"""The wheel and the sdist: what they hold, and that the wheel works where there is no checkout."""

import json
import os
import subprocess
import sys
import tarfile
import venv
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from analysis.origin import ROOT
from cudfkd.cli.notebooks import _files as copied_files
from tests.cudfkd.cli.test_notebooks import require_links_that_lead_somewhere

pytestmark = pytest.mark.slow
EXTRAS = "grid,notebooks,site,test"
pytest.importorskip("hatchling", reason="the extra `test` is not installed")


def build(kind: str, source: Path, folder: Path) -> Path:
    """Builds a wheel or an sdist of a source folder; returns its file."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    return next(folder.iterdir())


@pytest.fixture(scope="module")
def sdist(tmp_path_factory) -> Path:
    return build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory) -> Path:
    """The wheel that pip would build from the sdist."""
    unpacked = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(unpacked, filter="data")
    return build("wheel", next(unpacked.iterdir()), tmp_path_factory.mktemp("wheel"))


def installed(wheel: Path, folder: Path) -> Path:
    """The Python of a new environment with the wheel, and with the other packages of this environment."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    install = ["-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([sys.executable, *install], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "others.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
    return python


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory) -> Path:
    return installed(wheel, tmp_path_factory.mktemp("environment"))


def run(python: Path, folder: Path, *words: str) -> str:
    """Runs a module of the new environment in a folder, without the checkout in sight; returns what it says."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    clean["JUPYTER_PATH"] = f"{sys.prefix}/share/jupyter"  # files of the packages that the environment borrows
    done = subprocess.run([str(python), "-m", *words], cwd=folder, env=clean, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_sdist_holds_every_tracked_file(sdist):
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert {name for name in listed.splitlines() if (ROOT / name).is_file()} <= inside


def test_the_wheel_holds_code_data_and_notebooks(wheel):
    inside = set(ZipFile(wheel).namelist())
    for package in ("cudfkd", "analysis"):
        files = (path for path in (ROOT / package).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        assert {path.relative_to(ROOT).as_posix() for path in files} <= inside
    copied = {name for name, _ in copied_files()}
    assert {f"cudfkd/assets/{name.as_posix()}" for name in copied} <= inside
    assert len([name for name in copied if name.suffix == ".ipynb"]) == len(list(ROOT.glob("notebooks/*.ipynb")))
    assert {name.split("/")[0].split("-")[0] for name in inside} == {"cudfkd", "analysis"}


def test_the_wheel_names_its_extras(wheel):
    with ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith("METADATA"))
        facts = Parser().parsestr(archive.read(metadata).decode())
    assert set(facts.get_all("Provides-Extra")) == set(EXTRAS.split(","))
    assert facts["License-Expression"] == "MIT"


def test_dependencies_and_extras_can_be_installed_together(wheel, tmp_path):
    """pip resolves them from the package index for an empty environment. It installs nothing."""
    venv.create(tmp_path / "empty", with_pip=False, symlinks=True)
    recent = ["install", "--quiet", "--target", str(tmp_path / "pip"), "pip>=24"]  # reads metadata where it is served
    if subprocess.run([sys.executable, "-m", "pip", *recent], capture_output=True).returncode:
        pytest.skip("no package index answers: dependencies were not resolved")
    report, pins = tmp_path / "report.json", ROOT / "constraints.txt"
    python = str(tmp_path / "empty" / "bin" / "python")
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--dry-run"]
    command += ["--report", str(report), "-c", str(pins), f"{wheel}[{EXTRAS}]"]
    newer = os.environ | {"PYTHONPATH": str(tmp_path / "pip")}
    done = subprocess.run(command, env=newer, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = [item["metadata"] for item in json.loads(report.read_text())["install"]]
    chosen = {canonicalize_name(facts["name"]): facts["version"] for facts in found}
    required = [Requirement(text) for text in next(f for f in found if f["name"] == "cudfkd")["requires_dist"]]
    assert len(required) > 40
    for one in required:
        assert one.specifier.contains(chosen[canonicalize_name(one.name)]), one
    pinned = dict(line.split("==") for line in pins.read_text().splitlines() if "==" in line)
    assert {name: version for name, version in chosen.items() if pinned.get(name, version) != version} == {}


def test_the_wheel_works_without_a_checkout(python, tmp_path):
    where = run(python, tmp_path, "cudfkd.cli", "doctor")
    weights = list((ROOT / "cudfkd" / "assets").rglob("*.safetensors"))
    assert where.count("ships: weights verified") == len(weights) > 0
    code = "import analysis, cudfkd, sys; print(*(m.__file__.startswith(sys.prefix) for m in (analysis, cudfkd)))"
    (tmp_path / "places.py").write_text(code)
    assert run(python, tmp_path, "places").split() == ["True", "True"]


def test_the_notebooks_of_the_wheel_run_in_a_copy(python, tmp_path):
    said = run(python, tmp_path, "cudfkd.cli", "notebooks", "copy")
    names = {path.name for path in (ROOT / "notebooks").iterdir() if path.suffix in (".ipynb", ".md")}
    assert {path.name for path in (tmp_path / "copy" / "notebooks").iterdir()} == names
    assert "jupyter lab copy" in said
    require_links_that_lead_somewhere(tmp_path / "copy")
    first = "notebooks/01_one_sample_one_weight.ipynb"
    run(python, tmp_path / "copy", "analysis", "execute", first, "--profile", "smoke")
    assert (tmp_path / "copy" / "out" / "smoke" / "01" / "result.json").exists()
    assert (tmp_path / "copy" / "out" / "smoke" / "01_one_sample_one_weight.ipynb").exists()
    assert not list(python.parents[1].rglob("out/smoke"))
