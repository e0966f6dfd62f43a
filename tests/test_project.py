"""The files that a newcomer meets first agree with each other."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml

from analysis.evidence.parameters import declared_parameters
from analysis.evidence.reproduce import notebooks_of
from analysis.origin import PROFILES, ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_environment_yml_installs_what_pyproject_says():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    conda = [line for line in environment["dependencies"] if isinstance(line, str)]
    (pip,) = (line["pip"] for line in environment["dependencies"] if isinstance(line, dict))
    python = next(line for line in conda if line.startswith("python"))
    assert python.split(maxsplit=1)[1] == PYPROJECT["project"]["requires-python"]
    assert {line.split()[0] for line in conda} == {"python", "pip"}
    extras = set(re.fullmatch(r"-e \.\[([\w,]+)\]", pip[-1])[1].split(","))
    assert extras == set(PYPROJECT["project"]["optional-dependencies"])
    assert pip[:-1] == ["-c constraints.txt"]


def test_constraints_pin_every_requirement_and_nothing_else_but_versions():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.!+]+", line) for line in lines)
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines}
    project = PYPROJECT["project"]
    wanted = project["dependencies"] + sum(project["optional-dependencies"].values(), [])
    assert {re.match(r"[\w-]+", line)[0].lower() for line in wanted} <= pinned


def test_the_installed_package_has_the_version_of_its_code():
    import cudfkd

    code = "from importlib.metadata import version; print(version('cudfkd'))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == (
        cudfkd.__version__
    )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_stripped_thin_and_have_one_parameters_cell(path):
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert notebook.metadata.kernelspec.name == "python3"
    assert "papermill" not in notebook.metadata
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert sum("parameters" in cell.metadata.get("tags", []) for cell in notebook.cells) == 1
    assert max(cell.source.count("\n") + 1 for cell in code) <= 15
    assert sum(cell.source.count("\n") + 1 for cell in code) <= 150


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_the_list_of_notebooks_names_each_in_order():
    listed = re.findall(r"^\| \[(\w+)\]\((\w+)\.ipynb\)", (ROOT / "notebooks" / "README.md").read_text(), re.M)
    assert listed == [(path.stem, path.stem) for path in NOTEBOOKS]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_says_what_one_learns_what_was_shown_and_what_to_try(path):
    texts = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]
    _, learn, aims = texts[0].partition("**You will learn**")
    assert learn
    assert len(re.findall(r"^- ", aims, re.M)) == 3
    before, short, rest = "\n\n".join(texts[1:]).partition("\n## In short\n")
    assert short, "the summary is missing"
    assert len(re.findall(r"^- ", rest.partition("\n## ")[0], re.M)) >= 3
    assert "\n## Exercises\n" in rest
    assert texts[1] == texts[-1]
    assert "[All notebooks](README.md)" in texts[1]


@pytest.mark.parametrize("profile", sorted({path.parent.name for path in PROFILES.glob("*/*.yaml")}))
def test_profiles_hold_parameters_that_their_notebooks_take(profile):
    from analysis.evidence.parameters import check_parameters, profile_parameters

    files = sorted((PROFILES / profile).glob("*.yaml"))
    notebooks = notebooks_of(profile)
    assert [file.stem for file in files] == [path.name[:2] for path in notebooks]
    for notebook in notebooks:
        values = profile_parameters(profile, notebook.name[:2])
        assert check_parameters(notebook, values)["profile"] == profile
        assert set(values) | {"out_dir"} == set(declared_parameters(notebook))


def test_the_library_knows_nothing_of_notebooks_and_plots():
    for path in Path(ROOT / "cudfkd").rglob("*.py"):
        assert not re.search(r"^\s*(from|import) (analysis|matplotlib|papermill)", path.read_text(), re.M), path
