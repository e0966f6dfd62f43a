"""The form in which notebooks are committed."""

import re

import nbformat
import pytest

from analysis.evidence import form
from analysis.origin import NOTEBOOKS

NAMES = [path.stem for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))]
THREE = ["00_start", "01_middle", "02_end"]


def notebook() -> nbformat.NotebookNode:
    """A notebook as JupyterLab leaves it after a run."""
    new = nbformat.v4
    ran = new.new_code_cell("1 + 1", execution_count=3, outputs=[new.new_output("stream", text="2")])
    ran.metadata = nbformat.NotebookNode(tags=["parameters"], execution={"iopub.status.idle": "now"}, scrolled=True)
    texts = [
        new.new_markdown_cell("# Middle"),
        new.new_markdown_cell("See notebook 02, `x`, notebook 01 and notebook 77. Notebooks 00 to 02, and 77."),
    ]
    language = {"name": "python", "version": "3.12.1"}
    return new.new_notebook(cells=[*texts, ran], metadata={"widgets": {}, "language_info": language})


@pytest.mark.parametrize("name", NAMES)
def test_every_notebook_is_committed_in_this_form(name):
    text = (NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8")
    assert text == form.tidied(text, name, NAMES), "run: python -m analysis tidy"


@pytest.mark.parametrize("name", NAMES)
def test_every_notebook_records_under_its_own_name(name):
    assert f'Record("{name}", profile, ' in "".join(
        cell.source for cell in nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4).cells
    )


def test_outputs_and_traces_of_a_run_go_and_tags_stay():
    tidied = nbformat.reads(form.tidied(nbformat.writes(notebook()), "01_middle", THREE), as_version=4)
    (code,) = (cell for cell in tidied.cells if cell.cell_type == "code")
    assert (code.source, code.outputs, code.execution_count) == ("1 + 1", [], None)
    assert code.metadata == {"tags": ["parameters"]}
    assert set(tidied.metadata) == {"kernelspec", "language_info"}
    assert tidied.metadata.language_info == {"name": "python"}


def test_a_notebook_links_to_its_neighbours_and_to_notebooks_it_names():
    cells = nbformat.reads(form.tidied(nbformat.writes(notebook()), "01_middle", THREE), as_version=4).cells
    row = "[← 00 start](00_start.ipynb) · [All notebooks](README.md) · [02 end →](02_end.ipynb)"
    assert [cell.source for cell in (cells[1], cells[-1])] == [row, row]
    assert cells[2].source == (
        "See [notebook 02](02_end.ipynb), `x`, notebook 01 and notebook 77. "
        "Notebooks [00](00_start.ipynb) to [02](02_end.ipynb), and 77."
    )


@pytest.mark.parametrize("text", ["(notebooks 00, 01 and 02)", "Notebooks 01 and 02,", "notebooks 00, 77, and 01"])
def test_each_of_several_notebooks_becomes_a_link_and_a_second_time_nothing_changes(text):
    linked = form.linked(text, "01_middle", THREE)
    assert re.sub(r"\[(\d\d)\]\(\1_\w+\.ipynb\)", r"\1", linked) == text
    assert ("[00](" in linked, "[01](" in linked, "[02](" in linked) == ("00" in text, False, "02" in text)
    assert form.linked(linked, "01_middle", THREE) == linked


@pytest.mark.parametrize("name", NAMES)
def test_every_notebook_says_where_its_results_go(name):
    cells = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4).cells
    (parameters,) = (cell.source for cell in cells if "parameters" in cell.metadata.get("tags", []))
    said = parameters.partition("out_dir: str = ")[2].replace("\n#", "")
    assert f"out/PROFILE/{name[:2]}" in said
    assert said.endswith("in the checkout or copy that you work in, else in the working folder")


@pytest.mark.parametrize(("name", "first", "last"), [("00_start", "[All", "[01 middle"), ("02_end", "[← 01", "[All")])
def test_the_first_and_the_last_notebook_have_one_neighbour(name, first, last):
    parts = form.links(name, THREE).split(" · ")
    assert len(parts) == 2
    assert parts[0].startswith(first)
    assert parts[1].startswith(last)


def test_a_second_time_nothing_changes(tmp_path):
    (tmp_path / "01_middle.ipynb").write_text(nbformat.writes(notebook()), encoding="utf-8")
    assert form.tidy(tmp_path) == [tmp_path / "01_middle.ipynb"]
    assert form.tidy(tmp_path) == []
