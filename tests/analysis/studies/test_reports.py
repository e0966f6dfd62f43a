"""A grid's results become tables and figures."""

import json

import pandas as pd
import pytest

from analysis.studies import grid, records, reports, run
from analysis.studies.__main__ import main
from cudfkd import ConfigError, Curriculum, DistillConfig, Experiment
from cudfkd.engine import experiments

SMALL = {
    "name": "small",
    "methods": {"noise": {}},
    "pairs": [{"teacher": "lenet5", "student": "lenet5-half"}],
    "data": {"fashion-mnist": {"epochs": 2, "steps_per_epoch": 2}},
    "seeds": [0, 1],
    "distill": {"batch_size": 8},
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run's folder."""
    folder = tmp_path_factory.mktemp("run") / "a"
    distill = DistillConfig(epochs=2, steps_per_epoch=2, batch_size=8, curriculum=Curriculum(on_dead="warn"))
    experiments.run(Experiment(distill=distill), folder)
    return folder


@pytest.fixture
def results(finished, tmp_path, monkeypatch) -> list[str]:
    """Files of a grid's results: as if the run had been made with each of its seeds."""
    monkeypatch.chdir(tmp_path)
    assert main(["take", str(finished), "one.json"]) == 0
    ((case, _, entry),) = records.read(tmp_path / "one.json").runs()
    cells = grid.read(SMALL).cells.values()
    for cell in cells:
        kept = case.model_copy(update={"runs": {cell.seed: entry}})
        records.write(
            cell.result, records.StudyRecord(study={"name": "grid", "key": ""}, cases={records.digest(case.case): kept})
        )
    return [str(cell.result) for cell in cells]


def test_tables_have_a_row_a_run_and_a_row_a_method(results, tmp_path):
    assert main(["tables", "out", *results]) == 0
    runs, methods = (pd.read_csv(tmp_path / "out" / name) for name in ("runs.csv", "methods.csv"))
    assert runs["seed"].tolist() == [0, 1]
    assert methods["n"].tolist() == [2]
    for table in (runs, methods):
        assert table.iloc[0][["data", "teacher", "student"]].tolist() == ["fashion-mnist", "lenet5", "lenet5-half"]
    assert runs["accuracy"].mean() * 100 == pytest.approx(methods["accuracy, %"][0], abs=0.06)
    assert runs["MB"].notna().all()
    assert len(json.loads((tmp_path / "out" / "rates.json").read_text())["rates"]) == 2


def test_a_result_that_is_missing_is_said_in_one_line(results, tmp_path, capsys):
    (tmp_path / results[0]).unlink()
    assert main(["tables", "out", *results]) == 2
    line = capsys.readouterr().err
    assert line.startswith("analysis.studies: ")
    assert "noise-seed0.json is missing" in line
    assert line.count("\n") == 1


def test_figures_are_drawn_from_committed_records(tmp_path):
    assert main(["figures", str(tmp_path), "recorded", str(records.path_of("methods"))]) == 0
    names = {f"{name}.{kind}" for name in ("accuracies", "races") for kind in ("png", "pdf", "json")}
    assert {path.name for path in tmp_path.iterdir()} == names
    shown = json.loads((tmp_path / "races.json").read_text())
    methods = {case.label for case in records.load("methods").cases.values()}
    assert {line["label"] for line in shown["axes"][0]["lines"]} == methods


def test_groups_that_are_not_to_be_compared_are_refused(results, tmp_path):
    record = records.read(tmp_path / results[0])
    ((case, seed, entry),) = record.runs()
    other = json.loads(json.dumps(case.case))
    other["experiment"]["student"] = "lenet5"
    kept = case.model_copy(update={"case": other, "at": case.at | {"student": "lenet5"}})
    both = record.model_copy(update={"cases": record.cases | {"other": kept}})
    with pytest.raises(ConfigError, match=r"the records are of 2 groups \(fashion-mnist lenet5 lenet5-half; "):
        reports.figures(tmp_path / "out", "both", both)
    with pytest.raises(ConfigError, match="the record of drift compares no methods"):
        reports.tables(tmp_path / "out", records.load("drift"))


def test_a_grid_is_a_study_that_runs_in_this_process_too(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    values = SMALL | {"data": {"fashion-mnist": {"epochs": 1, "steps_per_epoch": 2}}, "seeds": [0]}
    (tmp_path / "small.yaml").write_text(json.dumps(values))
    assert main(["record", "small.yaml"]) == 0
    assert capsys.readouterr().out.startswith("small, fashion-mnist, lenet5, lenet5-half, noise, seed 0: accuracy")
    ((case, _, entry),) = records.read(tmp_path / "out/grid/small/record.json").runs()
    cell = next(iter(grid.read(values).cells.values()))
    assert case.case == cell.case().plain
    experiments.run(cell.experiment(), tmp_path / cell.folder)
    ((taken, _, again),) = run.of_folder(tmp_path / cell.folder).runs()
    assert (taken.case, taken.at) == (case.case, case.at)
    counted = {name: entry.numbers[name] for name in ("classes", "largest_class")}  # in the run, not in its folder
    assert again.numbers | counted == entry.numbers
