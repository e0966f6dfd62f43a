"""Published values are read as tables, and their oddities are found in the values."""

import pytest

from analysis.paper import published
from cudfkd.base.errors import ConfigError


def test_heat_maps_have_ends_in_rows_and_beginnings_in_columns():
    table = published.heat_map("F2", "accuracy")
    assert table.loc["2/3", "1/4"] == 71.22
    assert table.loc["4/5", "1/5"] == 70.41
    assert all(published.heat_map(name, measure).shape == (3, 3)
               for name in published.MAPS for measure in published.MEASURES)  # fmt: skip


def test_curves_have_a_row_a_setting():
    assert [len(published.curve(name)) for name in published.CURVES] == [8, 4, 8, 4]
    assert published.curve("F6").loc["log"].tolist() == [95.28, 98.13, 0.8909]


def test_accuracies_during_training_stand_at_their_share_of_the_run():
    courses = published.courses()
    assert courses["cudfkd"].to_dict() == {12.0: 90.0}
    shares = courses["pre-dfkd"]
    assert (len(shares), shares.iloc[0], shares.iloc[-1]) == (10, 24.35, 87.14)
    assert shares.index[[0, 4, 5, 9]].tolist() == pytest.approx([100 / 245, 500 / 245, 100 * 241 / 245, 100])


def test_the_table_of_steadiness_has_minutes():
    assert published.steadiness().to_dict() == {"mu": 94.1, "sigma2": 2.88, "minutes": pytest.approx(328.8), "gb": 6.84}


def test_one_row_stands_in_two_heat_maps():
    assert published.copied_rows() == ["agreement in F2, end at 3/4 = agreement in F4, end at 3/4"]


def test_the_scripts_own_setting_differs_by_two_points_between_figures():
    table = published.default_setting()
    assert table["accuracy"].tolist() == [95.28, 95.28, 93.34, 95.28]


def test_published_runs_of_one_setting_give_a_spread():
    spread = published.repeated("accuracy")
    assert spread.degrees == 4
    assert spread.sd == pytest.approx(0.0684, abs=1e-4)


def test_an_unknown_figure_is_named():
    with pytest.raises(ConfigError, match="unknown figure of the paper 'F22'"):
        published.source("F22")
    assert published.source("F7") == "F7: CIFAR-10, ResNet-34 to ResNet-18; cells 41 to 43"
