"""The figures of live runs draw their input: the stacks end at the measured line."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from analysis import plots
from analysis.live.accounts import account
from analysis.theory import sgd
from analysis.theory.toys import problems
from cudfkd.evaluation import Estimate
from tests.analysis.live.toys import config, probed


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def lines(ax) -> dict[str, np.ndarray]:
    return {line.get_label(): np.asarray(line.get_ydata(), dtype=float) for line in ax.lines}


def test_stacks_sum_to_the_measured_change():
    run = account(probed(config())[0])
    drawn = lines(plots.accounts({"run": run}).axes[0])
    assert drawn["sum of the stacks"] == pytest.approx(drawn["measured Φ − Φ(0)"], abs=1e-12)
    assert drawn["measured Φ − Φ(0)"][-1] == run.steps["end"].iloc[-1] - run.steps["start"].iloc[0]


def test_drift_lies_below_its_bounds_in_the_figure():
    run = account(probed(config())[0])
    drawn = lines(plots.drift_bounds({"run": run}).axes[0])
    assert (drawn["|Γ| measured"] <= drawn["mean v*(min) |Δℓ|"]).all()


def test_a_panel_of_drift_says_what_a_logarithmic_axis_cannot_show():
    run = account(probed(config())[0])
    rows = run.drift.assign(gamma=0.0)
    (words,) = plots.drift_bounds({"run": replace(run, drift=rows)}).axes[0].texts
    assert words.get_text() == f"|Γ| measured: 0 in {len(rows)} of {len(rows)} rounds"


def test_bars_have_the_height_of_the_means():
    estimates = {name: Estimate(value, value - 1, value + 1, 10) for name, value in
           (("student", -3.0), ("lambda", 1.0), ("generator", 2.0), ("total", 0.5))}  # fmt: skip
    ax = plots.parts_by_variant({"a": estimates})
    assert [bar.get_height() for bar in ax.patches] == [-3.0, 1.0, 2.0, 0.5]


def test_dead_maps_print_their_numbers():
    table = pd.DataFrame([[0.0, 1.0]], index=[0.3], columns=[1.0, 10.0])
    figure = plots.dead_maps({"log": table})
    assert [text.get_text() for text in figure.axes[0].texts] == ["0 %", "100 %"]


def test_the_changes_of_a_walk_are_split_at_zero():
    walked = sgd.walk(problems.student(0, n=16, hidden=3), "log", 2.0, 0.3, 4, 120)
    right = plots.walk(walked).axes[2]
    late = walked.change[60:]
    inside = late[np.abs(late) <= np.quantile(np.abs(late), 0.99)]
    falls, others = (sum(bar.get_height() for bar in bars) for bars in right.containers)
    assert (falls, others) == ((inside < 0).sum(), (inside >= 0).sum())
    words = [text.get_text() for text in right.get_legend().get_texts()]
    assert words[0].startswith(f"{(late < 0).sum()} steps fall")
    assert words[-1] == f"mean of all: {late.mean():+.4f}"


def test_the_other_figures_draw():
    row = pd.Series({"accuracy": 0.5, "low": 0.4, "high": 0.6, "dead": 0.0})
    fixed = pd.DataFrame([row, row], index=[0.3, 3.0])
    assert len(plots.paces({"l1": fixed}, {"l1": row}).axes) == 2
    modes = pd.DataFrame(
        [{"granularity": v, "seed": s, "agreement": 0.5} for v in ("sample", "batch", "none") for s in (0, 1)]
    )
    assert list(lines(plots.modes({"a": modes}, "agreement", "%").axes[0])["mean over seeds"]) == [50, 50, 50]
    assert plots.curves([[0.1, 0.6], [0.2, 0.3]], 0.5).lines[-1].get_xdata()[0] == 2
    assert plots.best_of(pd.Series({2: 0.5}), pd.DataFrame({"n": [2], "excess": [0.6]})).lines
    assert plots.loyalty_scales(pd.DataFrame({"a": [0.9]}, index=[0.1])).lines
    assert plots.batch_sizes({"pool": (np.array([0.1, 0.2]), 0.1, 0.2)}).lines
    changes = sgd.mean_changes(problems.ridge(0, n=20), "log", 2.0, [0.1], draws=20)
    assert plots.mean_change([0.1], *changes).lines
