"""Every figure draws its input: lines have labels, axes have titles, and the numbers equal the numbers of the run."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from analysis import plots
from analysis.theory import counterexamples, drift, growth, hysteresis, momentum, rates
from analysis.theory.toys import descent
from analysis.theory.toys.problems import points, student

LINE = points(0.0, 0.5, 3.0, start=2.2)


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def told(figure):
    """Asserts that each panel has a title and labels."""
    for ax in figure.axes:
        assert ax.get_title(loc="left")
        assert [text for text in ax.get_legend_handles_labels()[1] if not text.startswith("_")]


def test_lines_and_parabolas():
    loss = np.linspace(0, 4, 9)
    latent = pd.DataFrame({"loss": loss, "F": 1 - np.exp(-loss)})
    touching = pd.DataFrame({"loss": [1.0], "F": [1 - np.exp(-1)], "weight": [np.exp(-1)]})
    theta = np.linspace(-1, 2, 7)
    slices = pd.DataFrame({"theta": theta, "objective": theta**2, "step 0": (theta - 1) ** 2 + 1})
    figure = plots.lines_and_parabolas(latent, touching, slices, [1.0, 0.5])
    told(figure)
    tangent = figure.axes[0].lines[1].get_ydata()
    assert np.all(tangent >= latent["F"].to_numpy() - 1e-12)


def test_descent_bars_add_up():
    table = descent.run(LINE, "log", 1.0, "exact", 5).table()
    figure = plots.descent_bars({"one": table})
    surrogate, bregman = np.split(np.array([bar.get_height() for bar in figure.axes[0].patches]), 2)
    np.testing.assert_allclose(surrogate + bregman, table["descent"], atol=1e-15)
    shares = np.split(np.array([bar.get_height() for bar in figure.axes[1].patches]), 2)
    np.testing.assert_allclose(sum(shares), 100)


def test_convergence_and_rate():
    path = descent.run(LINE, "log", 1.0, "exact", 20)
    told(plots.convergence({"a line": {"log": path, "again": path}}))
    short = descent.run(LINE, "log", 1.0, descent.Armijo(), 20)
    told(plots.rate_bound({"armijo": rates.rate_table(short)}))


def test_limit_cycle():
    paths = {step: counterexamples.limit_cycle(step, 40) for step in (1.5, 2.5)}
    amplitudes = pd.DataFrame({"step": [2.5], "theta": [counterexamples.cycle_amplitude(2.5)]})
    figure = plots.limit_cycle(paths, counterexamples.attractor([1.0, 2.5]), amplitudes)
    told(figure)
    ends = next(line for line in figure.axes[1].lines if line.get_label() == "where the student ends")
    assert len(ends.get_xdata()) == 3  # each end once: one at step 1, two at step 2.5


def test_momentum_energy():
    path = momentum.run(LINE, "log", 1.0, momentum.constant(0.1, 20))
    told(plots.momentum_energy(path).figure)


def test_growing_pace_shows_the_growth():
    lams = np.linspace(1, 2, 11).tolist()
    path = growth.growing_run(student(1, n=16, hidden=2), "log", lams)
    figure = plots.growing_pace(path)
    told(figure)
    phi, descended = (line.get_ydata() for line in figure.axes[0].lines)
    grown = np.concatenate([[0], np.cumsum(path.column("growth"))[:-1]])
    np.testing.assert_allclose(phi - descended, grown, atol=1e-12)


def test_towards_plain():
    gaps = pd.DataFrame({"log": [1.0, 1e-3, 0.0], "huber": [1.0, 0.5, 0.1]}, index=[1.0, 10.0, 100.0])
    figure = plots.towards_plain(gaps)
    log, huber = figure.axes[:2]
    assert [ax.get_title(loc="left") for ax in (log, huber)] == ["log", "huber"]
    others, own, end = (line.get_ydata().tolist() for line in log.lines)
    assert (others, own, end) == ([1.0, 0.5, 0.1], [1.0, 1e-3], [1e-3])
    assert len(huber.lines) == 2  # it does not end


def test_hysteresis_loop():
    landscapes = pd.DataFrame({2.5: [1.0, 0.0, 1.0]}, index=[-1.0, 0.0, 1.0])
    swept = hysteresis.sweep(count=11)
    told(plots.hysteresis_loop(swept, hysteresis.branches(count=40), hysteresis.landmarks(), landscapes))


def test_chased():
    told(plots.chased({"0.2 a step": drift.chase(steps=5), "0.8 a step": drift.chase(speed=0.8, steps=5)}))
