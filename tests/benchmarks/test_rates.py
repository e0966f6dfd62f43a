"""Rates are measured without data, each kind once, and give a grid its hours."""

import pytest

from analysis.studies import cost, grid
from benchmarks import rates
from cudfkd import TrainingError, methods
from cudfkd.base.files import read_json

SMALL = {"latent_dim": 8, "generator_width": 2}
OWN = {
    "kd": {}, "scratch": {}, "noise": {},
    "deepinversion": {"options": {"synthesis_batch": 4, "inner_steps": 1}},
    "cmi": {"options": SMALL | {"synthesis_batch": 4, "inner_steps": 1}},
    "fast-dfkd": {"options": SMALL | {"synthesis_batch": 4, "inner_steps": 1, "warmup": 1}},
}  # fmt: skip
TINY = grid.Grid.model_validate({
    "name": "tiny",
    "methods": {name: OWN.get(name, {"options": SMALL}) for name in methods.names()},
    "pairs": [{"teacher": "wrn-16-1", "student": "wrn-16-1"}],
    "data": {"cifar100": {"epochs": 100}},
    "seeds": [3, 4],
    "distill": {"batch_size": 4, "steps_per_epoch": 4, "round_steps": 2},
})  # fmt: skip


def test_every_method_is_paced_without_data_or_teacher_and_gives_the_grid_its_hours(tmp_path):
    """CIFAR-100 is not at hand, and no teacher of it."""
    out = tmp_path / "rates.json"
    cells = list(rates.kinds(TINY, []))
    assert [cell.method for cell in cells] == methods.names()
    assert rates.measure(cells, 0.0, 9.0, out) == ([], [])
    found = cost.known([out])[-len(cells) :]
    table = cost.plan(TINY, found, found[0].hardware)
    assert list(table["runs"]) == [2] * len(cells)
    assert (table["student steps"] == 400).all()
    assert table["hours"].tolist() == [2 * 400 * one.seconds / one.student_steps / 3600 for one in found]


def test_what_was_measured_is_not_measured_again_and_what_fails_is_told_and_left(tmp_path, monkeypatch, capsys):
    asked = []

    def paced(cell, seconds):
        asked.append(cell.method)
        if cell.method == "dfq" and len(asked) < 3:
            raise TrainingError("not finite")
        return 10, 2.0

    monkeypatch.setattr(rates, "paced", paced)
    cells = list(rates.kinds(TINY, ["dfq", "dafl"]))
    name = "cifar100/wrn-16-1--wrn-16-1/dfq-seed3"
    assert rates.measure(cells, 1.0, 9.0, tmp_path / "rates.json") == ([], [name])
    assert capsys.readouterr().err == f"{name}: not finite\n"
    assert rates.measure(cells, 1.0, 9.0, tmp_path / "rates.json") == ([], [])
    assert rates.measure(cells, 1.0, 9.0, tmp_path / "rates.json") == ([], [])
    assert asked == ["dafl", "dfq", "dfq"]
    assert [one["seconds"] for one in read_json(tmp_path / "rates.json")["rates"]] == [2.0, 2.0]


def test_none_begins_after_the_minutes(tmp_path):
    cells = list(rates.kinds(TINY, []))
    outcome = rates.measure(cells, 1.0, -1.0, tmp_path / "rates.json")
    assert outcome == ([cell.name for cell in cells], [])
    assert len(outcome.left) == len(methods.names())


def test_the_second_epoch_counts_whatever_the_curriculum_makes_of_the_losses(monkeypatch):
    class Done:
        rows = ({"seconds": 50.0}, {"seconds": 2.0})

    asked = []
    monkeypatch.setattr(rates.cudfkd, "distill", lambda *_, train_on: asked.append(_[2]) or Done())
    (cell,) = rates.kinds(TINY, ["dfq"])
    assert rates.second_epoch(cell, 3) == (6, 2.0)
    assert (asked[0].epochs, asked[0].steps_per_epoch, asked[0].curriculum.on_dead) == (2, 6, "warn")


@pytest.mark.parametrize(("took", "rounds"), [(0.5, [1, 6]), (2.0, [1]), (10.0, [1])])
def test_an_epoch_is_about_as_long_as_asked_for_and_one_round_at_least(took, rounds, monkeypatch):
    asked = []

    def second_epoch(cell, count):
        asked.append(count)
        return 2 * count, took * count

    monkeypatch.setattr(rates, "second_epoch", second_epoch)
    (cell,) = rates.kinds(TINY, ["dfq"])
    assert rates.paced(cell, 3.0) == (2 * rounds[-1], took * rounds[-1])
    assert asked == rounds


def test_bad_input_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    for words, line in (
        (["grids/paper.yaml"], "device = 'cuda' is not on this machine"),
        (["nowhere.yaml"], "nowhere.yaml is missing or not YAML"),
        (["grids/paper.yaml", "--methods", "dflq"], "unknown method of this grid 'dflq'"),
    ):
        assert rates.main([*words, "--out", str(tmp_path / "rates.json")]) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"rates.py: {line}")
        assert said.count("\n") == 1
    (tmp_path / "other.json").write_text('{"a": 1}')
    assert rates.main(["grids/smoke.yaml", "--out", str(tmp_path / "other.json")]) == 2
    assert capsys.readouterr().err.startswith("rates.py: there are no rates in ")
