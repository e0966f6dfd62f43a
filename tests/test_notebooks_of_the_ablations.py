"""The notebooks of the ablations and of the samples run from records to their results: here from stand-ins."""

import json
import warnings

import matplotlib.pyplot as plt
import nbformat
import pytest

from analysis.evidence.execute import profile_parameters
from analysis.origin import NOTEBOOKS
from analysis.studies import records
from cudfkd import DataError
from tests.analysis.studies import seeded

OF_16 = ("ramp", "height", "strategy", "temperature", "start")
OF_17 = ("noisy", "methods")


def run(number: str, out, **parameters) -> dict:
    """Runs the code cells of a notebook in this process, with the profile smoke; returns its result.json."""
    (path,) = NOTEBOOKS.glob(f"{number}_*.ipynb")
    values = profile_parameters("smoke", number) | {"out_dir": str(out / number)} | parameters
    space: dict = {}
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, f"{path.name}, {cell.id}", "exec"), space)
            space |= values if "parameters" in cell.metadata.get("tags", []) else {}
    plt.close("all")
    return json.loads((out / number / "result.json").read_text())


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """Stand-ins in place of the records, beside the project's own record of the granularity."""
    own = records.path_of("granularity").read_bytes()
    (tmp_path / "records").mkdir()
    monkeypatch.setattr(records, "FOLDER", tmp_path / "records")
    for name in (*OF_16, *OF_17):
        records.write(records.path_of(name), seeded.record(name))
    records.path_of("granularity").write_bytes(own)
    return tmp_path


@pytest.mark.parametrize(
    ("number", "figures", "checks", "claims"),
    [
        ("16", {"ramp", "luck", "height", "strategy", "temperature", "start"}, 5, set()),
        ("17", {"pseudo_classes", "density", "noisy", "tsne", "distributions"}, 1, {"C7"}),
    ],
)
def test_a_notebook_runs_from_its_records_and_trains_a_little(number, figures, checks, claims, recorded):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # of figures without room
        result = run(number, recorded)
    drawn = {path.stem: path for path in (recorded / number).glob("*.png")}
    assert set(drawn) == figures
    assert len(result["checks"]) == checks
    assert {claim for check in result["checks"] for claim in check["claims"]} == claims
    assert not any(check["exact"] for check in result["checks"])
    for path in drawn.values():
        story = json.loads(path.with_suffix(".json").read_text())["story"]
        assert {"profile", "commit", "hardware", "n", "seeds"} <= story.keys(), path.stem


@pytest.mark.parametrize(("number", "missing"), [("16", "ramp"), ("17", "noisy")])
def test_a_notebook_says_in_one_line_that_its_record_is_missing(number, missing, recorded):
    records.path_of(missing).unlink()
    with pytest.raises(DataError, match=f"make it with python -m analysis.studies record {missing}") as refusal:
        run(number, recorded)
    assert "\n" not in str(refusal.value)
