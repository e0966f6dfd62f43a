"""The figures of samples and of noisy teachers show each number and each image of their sources."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from analysis import plots

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def test_each_method_has_a_line_over_the_wrong_labels_and_the_teacher_too():
    table = pd.DataFrame({"mean": [80.0, 70.0], "low": [79.0, 69.0], "high": [81.0, 71.0], "n": [5, 5]}, index=[0, 40])
    teacher = pd.Series({0: 92.0, 40: 89.5})
    figure = plots.noise_costs(
        {"accuracy": {"cudfkd": table, "cmi": table - 1}, "agreement": {"cudfkd": table}}, teacher
    )
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert sorted(labels) == ["cmi, n = 4", "cudfkd, n = 5", "the teacher itself"]
    assert not any("teacher" in str(line.get_label()) for line in figure.axes[1].lines)


def test_every_source_has_a_panel_and_real_images_come_first():
    points = {name: RNG.normal(size=(n, 2)) for name, n in (("cmi", 10), ("real", 30), ("this run", 20))}
    classes = {name: RNG.integers(10, size=len(places)) for name, places in points.items()}
    figure = plots.embedding(points, classes, "real", columns=2)
    assert [ax.get_title(loc="left") for ax in figure.axes if ax.get_visible()] == [
        "real, n = 30", "cmi, n = 10", "this run, n = 20",
    ]  # fmt: skip
    assert len(figure.axes[1].lines[0].get_xdata()) == 30
    assert len(figure.axes[1].collections[0].get_offsets()) == 10


def test_distributions_have_every_class_and_every_term():
    features = {name: RNG.random(84) for name in ("real", "late")}
    counts = {"real": np.full(10, 10), "late": np.arange(10)}
    terms = pd.DataFrame({"certainty": [0.1, 0.2], "activation": [-1.0, -2.0]}, index=["real", "late"])
    figure = plots.distributions(features, counts, terms, [f"class {k}" for k in range(10)])
    density, classes, bars = figure.axes
    assert len(density.lines) == 2
    assert [bar.get_height() for bar in classes.patches[:10]] == [10.0] * 10
    assert sum(bar.get_height() for bar in classes.patches[10:]) == pytest.approx(100)
    assert [bar.get_height() for bar in bars.patches] == [0.1, -1.0, 0.2, -2.0]


def test_pseudo_classes_have_a_panel_a_moment_and_room_for_a_class_without_images():
    images = torch.rand(3, 1, 8, 8)
    figure = plots.pseudo_classes({"early": [images[:0], images], "late": [images, images[:1]]}, ["shirt", "bag"])
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["early", "late"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["shirt", "bag"]
