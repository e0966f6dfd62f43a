"""The figure of the search shows each method's best accuracy so far, its trials and its last value."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from analysis import plots

NAN = float("nan")
TABLE = pd.DataFrame(
    {
        "method": ["cudfkd"] * 3 + ["dafl"] * 2,
        "trial": [0, 1, 2, 0, 1],
        "student_steps": [800, 1200, 2000, 300, 1100],
        "accuracy": [0.5, NAN, 0.625, NAN, 0.25],
        "outcome": ["complete", "pruned", "complete", "stopped", "complete"],
        "best": [0.5, 0.5, 0.625, NAN, 0.25],
    }
)


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def test_a_panel_a_method_with_its_best_so_far():
    own, other = plots.effort(TABLE).axes
    assert [ax.get_title(loc="left") for ax in (own, other)] == ["cudfkd", "dafl"]
    _, tried, best, _ = own.lines
    assert np.asarray(best.get_xdata()).tolist() == [0.8, 1.2, 2.0]
    assert np.asarray(best.get_ydata()).tolist() == [50, 50, 62.5]
    assert np.asarray(tried.get_ydata()).tolist()[::2] == [50, 62.5]
    assert [text.get_text() for text in own.texts] == ["62.5", "3 trials, 1 pruned"]
    assert [text.get_text() for text in other.texts] == ["25.0", "2 trials, 0 pruned, 1 stopped"]
    assert own.get_ylim() == other.get_ylim() == (0, 100)
    assert own.get_xlim() == other.get_xlim()


def test_places_without_a_method_stay_empty_and_nothing_gives_an_empty_figure():
    many = pd.concat([TABLE.assign(method=f"{number} {method}") for number in range(4) for method in ("a", "b")])
    assert [ax.get_visible() for ax in plots.effort(many).axes] == [True] * 8 + [False] * 2
    assert not plots.effort(TABLE.iloc[:0]).axes[0].get_visible()
