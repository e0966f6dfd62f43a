"""One notebook through papermill: refusals, the files that remain, and no success before every cell has completed."""

import nbformat
import pytest

from analysis.evidence.execute import NotebookError, execute
from analysis.evidence.parameters import (
    check_parameters,
    declared_parameters,
    parse_value,
    profile_parameters,
    read_yaml,
)
from cudfkd.base.errors import ConfigError

PARAMETERS = """
profile: str = "quick"  # help
seed: int = 0  # 0 or more
lr: float = 0.1
flag: bool = True
sizes: list[int] = [1, 2]
limit: Optional[int] = None
"""


def write(path, *sources, parameters=PARAMETERS):
    notebook = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    )
    first = nbformat.v4.new_code_cell(parameters.strip(), metadata={"tags": ["parameters"]} if parameters else {})
    notebook.cells = [nbformat.v4.new_code_cell("from typing import Optional"), first]
    notebook.cells += [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(notebook, path)
    return path


def test_a_notebook_is_executed_with_its_parameters(tmp_path):
    notebook = write(tmp_path / "00_a.ipynb", "print(seed + 1, limit)")
    done = execute(notebook, tmp_path / "new" / "out.ipynb", {"seed": 41, "limit": 3})
    cell = nbformat.read(done.path, as_version=4).cells[-1]
    assert cell.outputs[0].text == "42 3\n"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out.ipynb"]
    assert done.seconds > 0


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"sed": 1}, "unknown parameter of 00_a.ipynb 'sed': did you mean 'seed'"),
        ({"seed": "1"}, "seed = '1' is not allowed in 00_a.ipynb: it must be int"),
        ({"seed": True}, "seed = True"),
        ({"seed": 1.5}, "seed = 1.5"),
        ({"seed": -1}, "seed = -1 is not allowed in 00_a.ipynb: it must be 0 or more"),
        ({"lr": "1e-4"}, "lr = '1e-4' is not allowed in 00_a.ipynb: it must be float"),
        ({"flag": 1}, "flag = 1"),
        ({"sizes": 3}, "sizes = 3"),
        ({"sizes": ["a"]}, "sizes = "),
        ({"limit": "x"}, "limit = 'x'"),
        ({"profile": 3}, "profile = 3"),
    ],
)
def test_wrong_parameters_are_refused_before_anything_is_written(tmp_path, parameters, message):
    notebook = write(tmp_path / "00_a.ipynb")
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")) as error:
        execute(notebook, tmp_path / "new" / "out.ipynb", parameters)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "new").exists()


def test_right_parameters_of_every_type_pass(tmp_path):
    notebook = write(tmp_path / "00_a.ipynb")
    values = {"profile": "x", "seed": 1, "lr": 1, "flag": False, "sizes": [3], "limit": None}
    assert check_parameters(notebook, values) == values
    assert set(declared_parameters(notebook)) == set(values)


def test_a_failing_cell_is_named_and_the_output_is_not_given_its_name(tmp_path):
    notebook = write(tmp_path / "00_a.ipynb", "1 / 0")
    with pytest.raises(NotebookError, match=r"00_a.ipynb failed in cell 4 \(ZeroDivisionError: division by zero\)"):
        execute(notebook, tmp_path / "out.ipynb", {"seed": 1})
    assert not (tmp_path / "out.ipynb").exists()


def test_a_notebook_that_leaves_early_is_not_complete(tmp_path):
    """papermill itself exits 0 here and never runs the last cell."""
    notebook = write(tmp_path / "00_a.ipynb", "import sys; sys.exit(0)", "print('never')")
    with pytest.raises(NotebookError):
        execute(notebook, tmp_path / "out.ipynb")
    assert not (tmp_path / "out.ipynb").exists()


def test_missing_files_and_notebooks_without_parameters_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="there is no notebook"):
        execute(tmp_path / "99.ipynb", tmp_path / "out.ipynb")
    with pytest.raises(ConfigError, match="no cell tagged 'parameters'"):
        execute(write(tmp_path / "00_a.ipynb", parameters=""), tmp_path / "out.ipynb", {"seed": 1})
    (tmp_path / "broken.ipynb").write_text("{")
    with pytest.raises(ConfigError, match="not a notebook that can be read"):
        execute(tmp_path / "broken.ipynb", tmp_path / "out.ipynb")


def test_profiles_and_yaml_files(tmp_path):
    assert profile_parameters("smoke", "00")["profile"] == "smoke"
    with pytest.raises(ConfigError, match="unknown profile 'quikc': did you mean 'quick'"):
        profile_parameters("quikc", "00")
    with pytest.raises(ConfigError, match="unknown profile 'tuning': .*known: full, quick, smoke"):
        profile_parameters("tuning", "00")  # a folder of records
    with pytest.raises(ConfigError, match="missing or not YAML"):
        read_yaml(tmp_path / "no.yaml")
    (tmp_path / "nested.yaml").write_text("a:\n  b: 1\n")
    with pytest.raises(ConfigError, match="is not flat"):
        read_yaml(tmp_path / "nested.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("1e-4", 1e-4), ("true", True), ("True", True), ("None", None), ("[1, 2]", [1, 2]), ("quick", "quick")],
)
def test_values_from_the_command_line(text, value):
    parsed = parse_value(text)
    assert parsed == value
    assert type(parsed) is type(value)
