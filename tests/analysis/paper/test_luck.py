"""Ranges of published figures and of ours, beside ranges that luck alone makes."""

import pytest

from analysis.checks.ranges import Luck
from analysis.paper import luck
from analysis.studies import ablations
from tests.analysis.studies import seeded

STUDIES = ("ramp", "height", "strategy", "temperature", "start")


@pytest.fixture(scope="module")
def runs():
    steep = {"height": lambda at: 0.6 + 0.02 * at["height"]}
    return {name: seeded.runs(name, steep.get(name, seeded.flat)) for name in STUDIES}


def test_ours_vary_the_settings_that_a_figure_varies(runs):
    assert len(luck.counterpart("F2", runs)) == 45
    assert set(luck.counterpart("F6", runs)["strategy"]) == {"none", "hard", "soft", "log"}
    assert set(luck.counterpart("F6", runs)["ramp"]) == {ablations.WITH_RAMP}
    assert set(luck.counterpart("F7", runs)["loss"]) == {"l1"}
    assert 1 not in set(luck.counterpart("F7", runs)["temperature"])
    assert len(set(luck.counterpart("F5", runs)["height"])) == 8


def test_a_row_a_figure_with_its_published_range(runs, monkeypatch):
    monkeypatch.setattr(luck, "luck", lambda spread, settings, runs=1: Luck(spread.sd, 2 * spread.sd / runs))
    table = luck.ranges("accuracy", runs)
    assert table.index.tolist() == ["F2", "F3", "F4", "F5", "F6", "F7", "F8"]
    assert table["published"].round(2).tolist() == [0.81, 0.96, 0.42, 0.63, 2.04, 0.35, 0.24]
    assert table["settings"].tolist() == [9, 9, 9, 8, 4, 8, 4]
    assert table.loc["F5", "chance"] < 1e-3
    assert table.loc["F2", "chance"] > 1e-3
    assert table.loc["F2", "our limit"] == pytest.approx(table.loc["F2", "limit"] / 5)
