"""The figures of settings show our means with intervals, the published values, and luck."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from analysis import plots
from analysis.paper import published
from analysis.studies import ablations
from tests.analysis.studies import seeded


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def test_surfaces_have_our_map_and_the_published_maps_in_shared_colours():
    maps = {name: {m: published.heat_map(name, m) for m in published.MEASURES} for name in published.MAPS}
    ours = ablations.of_measures(seeded.runs("ramp"), ["begin", "end"])
    figure = plots.ramp_surfaces(ours, maps)
    panels = [ax for ax in figure.axes if ax.images]
    assert len([ax for ax in panels if ax.get_title(loc="left")]) == 12
    second = next(ax for ax in panels if ax.get_title(loc="left").startswith("F2, published"))
    assert [text.get_text() for text in second.texts][:3] == ["71.00", "71.22", "71.12"]
    assert panels[0].images[0].get_clim() == second.images[0].get_clim()
    text = panels[0].texts[5].get_text()
    cell = ours["accuracy"].loc[("1/3", "3/4")]
    assert text == f"{cell['mean']:.2f}\n± {(cell['high'] - cell['low']) / 2:.2g}"


def test_responses_stand_at_their_settings_around_their_own_mean():
    table = pd.DataFrame({"mean": [80.0, 82.0], "low": [79.0, 80.0], "high": [81.0, 84.0], "n": [5, 5]}, index=[4, 20])
    theirs = pd.DataFrame({"accuracy": [94.0, 96.0, 95.0]}, index=[4, 8, 20])
    figure = plots.responses({"l1": {"accuracy": table}}, theirs, "F7", "cells", "temperature")
    (ax,) = figure.axes
    points = [np.asarray(line.get_xydata()).tolist() for line in ax.lines]
    assert [[4, -1], [8, 1], [20, 0]] in points
    assert [[4, -1], [20, 1]] in points
    assert any("l1, n = 5 (mean 81.0)" in text.get_text() for text in ax.get_legend().get_texts())


def test_settings_without_numbers_have_a_place_each():
    ours = {"with": ablations.of_measures(seeded.runs("strategy").query("ramp == 'with the ramp'"), ["strategy"])}
    figure = plots.responses(ours, published.curve("F6"), "F6", "cells", "strategy")
    assert len(figure.axes[0].get_xticks()) == 9
    assert figure.axes[0].get_xticklabels()[3].get_text() == "log"


def test_luck_has_a_bar_for_what_the_seeds_make_and_a_mark_for_what_is():
    row = {"settings": 9, "published": 0.8, "luck": 1.5, "limit": 2.0, "ours": 0.5, "our luck": 0.6, "our limit": 0.9}
    ax = plots.by_luck(pd.DataFrame({"F2": row}).T, "accuracy")
    assert [bar.get_width() for bar in ax.patches] == [2.0, 0.9]
    marks = [float(np.asarray(line.get_xdata())[0]) for line in ax.lines]
    assert marks == [1.5, 0.8, 0.6, 0.5]
    assert ax.get_yticklabels()[0].get_text() == "F2, 9 settings"
