"""Hours come from measured rates alone: what was not measured is counted and not guessed."""

import json

import pytest

from analysis.origin import ROOT
from analysis.studies import cost, grid, records
from analysis.studies.__main__ import main
from cudfkd import ConfigError

LENGTH = {"epochs": 10, "steps_per_epoch": 100}
MADE = {
    "name": "made",
    "methods": {"dafl": {"lr": 0.05}, "dfq": {}},
    "pairs": [{"teacher": "lenet5", "student": "lenet5-half"}],
    "data": {"fashion-mnist": LENGTH},
    "seeds": [0, 1, 2],
}


def rate(seconds: float, hardware: str = "GPU", method: str = "dafl", **changed) -> cost.Rate:
    """A rate of 50 steps, measured by another seed and length."""
    lr = 0.05 if method == "dafl" else 0.1
    cell = grid.Grid.model_validate(MADE | {"methods": {method: {"lr": lr}}, "data": {"fashion-mnist": {"epochs": 1}}})
    settings = next(iter(cell.cells.values())).distill().model_dump(mode="json") | changed
    settings = {name: value for name, value in settings.items() if name not in cost.LENGTH}
    return cost.Rate(
        data="fashion-mnist", teacher="lenet5", student="lenet5-half", settings=settings, hardware=hardware,
        student_steps=50, seconds=seconds,
    )  # fmt: skip


def test_hours_are_runs_times_steps_times_the_mean_pace():
    table = cost.plan(grid.Grid.model_validate(MADE), [rate(5.0), rate(15.0), rate(1.0, "other")], "GPU").set_index(
        "method"
    )
    assert table.loc["dafl", "seconds a step"] == pytest.approx(0.2)
    assert table.loc["dafl", "hours"] == pytest.approx(3 * 1000 * 0.2 / 3600)
    assert table.loc["dfq"].isna().sum() == 2


def test_other_settings_are_another_kind_of_run():
    assert cost.plan(grid.Grid.model_validate(MADE), [rate(5.0, batch_size=128)], "GPU")["hours"].isna().all()


def test_what_was_not_measured_is_named_and_not_counted():
    told = list(cost.lines(grid.Grid.model_validate(MADE), [rate(6.0)]))
    assert told[0] == "made: 6 runs; on GPU:"
    assert told[2] == "0.1 hours for 3 runs, if one runs at a time"
    assert told[3] == "not in it, for want of a measured rate: 3 runs (dfq fashion-mnist/lenet5--lenet5-half)"


def test_without_any_rate_no_hours_are_given():
    (told,) = cost.lines(grid.Grid.model_validate(MADE), [rate(5.0, lr=1.0)])
    assert told.startswith("made: 6 runs, and no measured rate for any of them: no hours yet")


def test_runs_measure_on_the_way_by_their_last_epoch():
    record = records.load("methods")
    rates = cost.rates(record)
    assert len(rates) == len(list(record.runs()))
    (_, _, run), found = next(record.runs()), rates[0]
    assert found["student_steps"] == 100
    assert found["seconds"] == run.rows[-1]["seconds"]
    assert found["hardware"] == run.made["hardware"]
    assert not set(cost.LENGTH) & set(found["settings"])


def test_recorded_runs_are_known_and_so_are_files_that_are_named(tmp_path):
    path = tmp_path / "rates.json"
    path.write_text(json.dumps({"rates": [rate(5.0, "mine").model_dump()]}))
    before, after = cost.known(), cost.known([path])
    assert len(before) >= len(list(records.load("methods").runs()))
    assert after == [*before, rate(5.0, "mine")]


def test_a_file_that_holds_something_else_is_refused(tmp_path):
    path = tmp_path / "rates.json"
    path.write_text(json.dumps({"rates": [rate(5.0).model_dump() | {"seconds": 0.0}]}))
    with pytest.raises(ConfigError, match=r"seconds = 0\.0 is not allowed: it must be greater than 0"):
        cost.known([path])


@pytest.mark.parametrize("content", [None, {}, {"rates": 3}])
def test_a_named_file_without_rates_is_refused(content, tmp_path, capsys):
    path = tmp_path / "rates.json"
    if content is not None:
        path.write_text(json.dumps(content))
    assert main(["cost", str(ROOT / "grids" / "smoke.yaml"), str(path)]) == 2
    assert capsys.readouterr().err.startswith(f"analysis.studies: there are no rates in {path}: name a file")


def test_the_papers_set_has_no_hours_until_it_is_measured(capsys):
    """The records that ship are of small networks on a CPU."""
    assert main(["cost", str(ROOT / "grids" / "paper.yaml")]) == 0
    assert capsys.readouterr().out.startswith("paper: 1350 runs, and no measured rate for any of them")


def test_bad_input_is_one_line(capsys):
    assert main(["cost", "nowhere.yaml"]) == 2
    assert capsys.readouterr().err.startswith("analysis.studies: nowhere.yaml is missing or not YAML")
