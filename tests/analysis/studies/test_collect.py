"""A run's folder as a record, and records as tables and figures."""

import json

import pandas as pd
import pytest

from analysis.origin import ROOT
from analysis.studies import collect, comparison, grid, result
from cudfkd import Curriculum, DataError, DistillConfig, Experiment
from cudfkd.base import machine
from cudfkd.engine.experiments import run

SMALL = {
    "name": "small",
    "methods": {"noise": {}},
    "pairs": [{"teacher": "lenet5", "student": "lenet5-half"}],
    "data": {"fashion-mnist": {"epochs": 2, "steps_per_epoch": 2}},
    "seeds": [0, 1],
    "distill": {"batch_size": 8},
}
RECORDS = ROOT / "analysis" / "records" / "methods"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run's folder, and its experiment."""
    folder = tmp_path_factory.mktemp("run") / "a"
    distill = DistillConfig(
        epochs=2, steps_per_epoch=2, batch_size=8, curriculum=Curriculum(on_dead="warn"), keep_epochs=(1,)
    )
    run(asked := Experiment(distill=distill), folder)
    return folder, asked


def test_a_finished_run_is_a_record_that_comparison_reads(finished, tmp_path):
    folder, asked = finished
    (tmp_path / "cudfkd-seed0.json").write_text(json.dumps(result.record(folder)))
    one = comparison.read("cudfkd", 0, tmp_path)
    assert one.experiment == asked.model_dump(mode="json")
    assert one.history["epoch"].tolist() == [1, 2]
    assert one.accuracy == json.loads((folder / "summary.json").read_text())["accuracy"]["value"]
    assert "threads" in one.hardware


def test_a_record_names_the_machine_of_the_run_and_not_of_who_records_it(finished, monkeypatch):
    """Rates are matched by the string: another number of threads here must not change it."""
    before = result.record(finished[0])["hardware"]
    assert before == machine.hardware("cpu")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setattr(machine, "hardware", lambda device: "another machine")
    assert result.record(finished[0])["hardware"] == before


@pytest.fixture
def grid_done(finished, tmp_path, monkeypatch):
    """A grid whose results are there, as its rules leave them."""
    monkeypatch.chdir(tmp_path)
    content = result.record(finished[0])
    for cell in grid.read(SMALL).cells.values():
        plain = content["experiment"] | {"distill": content["experiment"]["distill"] | {"seed": cell.seed}}
        hashed = {"seed": cell.seed, "experiment": plain, "config_sha256": comparison.fingerprint(plain)}
        cell.result.parent.mkdir(parents=True, exist_ok=True)
        cell.result.write_text(json.dumps(content | hashed))
    return tmp_path


def results() -> list[str]:
    return [str(cell.result) for cell in grid.read(SMALL).cells.values()]


def test_tables_have_a_row_a_run_and_a_row_a_method(grid_done):
    assert collect.main(["tables", "out", *results()]) == 0
    runs, methods = (pd.read_csv(grid_done / "out" / name) for name in ("runs.csv", "methods.csv"))
    assert runs["seed"].tolist() == [0, 1]
    assert methods["n"].tolist() == [2]
    for table in (runs, methods):
        assert table.iloc[0][["data", "teacher", "student"]].tolist() == ["fashion-mnist", "lenet5", "lenet5-half"]
    assert runs["accuracy"].mean() * 100 == pytest.approx(methods["accuracy, %"][0], abs=0.06)
    assert len(json.loads((grid_done / "out" / "rates.json").read_text())["rates"]) == 2


def test_a_result_that_is_missing_is_said_in_one_line(grid_done, capsys):
    next(iter(grid.read(SMALL).cells.values())).result.unlink()
    assert collect.main(["tables", "out", *results()]) == 2
    said = capsys.readouterr().err
    assert said.startswith("analysis.studies.collect: ")
    assert "noise-seed0.json is missing" in said
    assert said.count("\n") == 1


def test_figures_are_drawn_from_committed_records(tmp_path):
    files = [str(path) for path in RECORDS.glob("*-seed0.json")]
    assert collect.main(["figures", str(tmp_path), "recorded", *files]) == 0
    names = {f"{name}.{kind}" for name in ("accuracies", "races") for kind in ("png", "pdf", "json")}
    assert {path.name for path in tmp_path.iterdir()} == names
    shown = json.loads((tmp_path / "races.json").read_text())
    assert {line["label"] for line in shown["axes"][0]["lines"]} == {
        path.stem[:-6] for path in RECORDS.glob("*-seed0.json")
    }


def test_a_file_that_is_no_record_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"pace\.json is no record: one is called METHOD-seedN\.json"):
        collect.read([tmp_path / "pace.json"])
