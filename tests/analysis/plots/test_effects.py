"""The figures of effects and of terms draw each number of their tables, in groups and rows that are named."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from analysis import plots

SETTINGS = pd.MultiIndex.from_tuples([("dafl", "a sigmoid"), ("dafl", "new images"), ("zskt", "no clipping")])
EFFECTS = pd.DataFrame(
    {"mean": [-5.0, 3.0, 1.0], "low": [-9.0, -1.0, -6.0], "high": [-1.0, 7.0, 8.0], "n": [3] * 3}, index=SETTINGS
)


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def test_effects_stand_in_groups_by_method():
    ax = plots.effects(EFFECTS)
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "dafl", "a sigmoid", "new images", "zskt", "no clipping",
    ]  # fmt: skip
    lines = [np.asarray(line.get_xdata()).tolist() for line in ax.lines]
    assert lines[1:] == [[-9, -1], [-5], [-1, 7], [3], [-6, 8], [1]]
    heights = [float(np.asarray(line.get_ydata())[0]) for line in ax.lines[1:]]
    assert heights == [1, 1, 2, 2, 4, 4]
    assert "n = 3 seeds" in ax.get_title(loc="left")


def test_each_method_has_a_point_for_each_of_the_terms_on_which_it_ran():
    own = pd.DataFrame(
        {"accuracy, %": [80.0, 60.0], "low": [70.0, -5.0], "high": [90.0, 120.0]}, index=["cudfkd", "dafl"]
    )
    ax = plots.terms({"its own": own, "equal": own.iloc[:1] - 10})
    assert [label.get_text() for label in ax.get_yticklabels()] == ["cudfkd", "dafl"]
    lines = [np.asarray(line.get_xdata()).tolist() for line in ax.lines]
    assert lines[:6] == [[70, 90], [80], [0, 100], [60], [60, 80], [70]]  # intervals end at the ends of the scale
    assert np.isnan(lines[7]).all()  # dafl did not run on the second terms
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["its own", "equal"]
