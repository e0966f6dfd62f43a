"""The figures of the comparison draw the numbers of their tables, in rows and panels that are named in words."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from analysis import plots

NAMES = ["cudfkd", "dfq"]
TABLE = pd.DataFrame({"value": [80.0, 70.0], "low": [78.0, 60.0], "high": [82.0, 75.0], "n": [10, 10]}, index=NAMES)
AGAINST = pd.DataFrame({"difference": [2.0, -1.0], "low": [1.0, -3.0], "high": [3.0, 1.0]}, index=["dfq", "cmi"])


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def xs(ax) -> list[list[float]]:
    return [np.asarray(line.get_xdata(), dtype=float).tolist() for line in ax.lines]


def words(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


def rows(ax) -> list[str]:
    return [label.get_text() for label in ax.get_yticklabels()]


def test_accuracy_on_test_stands_beside_the_published_value_best_above():
    ax = plots.on_test(TABLE[::-1], {"dfq": 94.6, "adi": 93.0}, "published")
    assert rows(ax) == NAMES
    assert xs(ax) == [[78, 82], [60, 75], [80, 70], [94.6]]
    assert ax.lines[-1].get_ydata() == [1]
    assert words(ax) == ["point: ours, 95 % interval over n = 10 seeds", "diamond: published"]
    assert ax.get_yticklabels()[0].get_fontweight() == "bold"
    one = plots.on_test(TABLE.assign(n=1, low=np.nan, high=np.nan), {}, "published")
    assert words(one)[0] == "point: ours, one seed, which has no interval"


def test_differences_have_the_line_of_none_in_the_middle_and_their_margin():
    (ax,) = plots.against({"difference, points": AGAINST}, margin=1.0).axes
    assert xs(ax)[:4] == [[1, 3], [-3, 1], [2, -1], [0, 0]]
    assert xs(ax)[4] == [-1, -1]
    assert ax.get_xlim()[0] == -ax.get_xlim()[1]
    assert words(ax) == ["← rival ahead", "CuDFKD ahead →", "margin 1"]
    left, right = plots.against({"points": AGAINST, "more": AGAINST[::-1]}).axes
    assert [len(left.lines), len(right.lines)] == [4, 4]
    assert xs(left)[2] == xs(right)[2] == [2, -1]
    assert [panel.get_xlabel() for panel in (left, right)] == ["points", "more"]


def curve(*means: float, step: int = 100) -> pd.DataFrame:
    values = pd.Series(means)
    return pd.DataFrame(
        {"clock": step * (values.index + 1), "mean": values, "low": values - 2, "high": values + 2}
    ).rename_axis("epoch")


def test_each_panel_shows_a_method_beside_cudfkd_and_what_can_be_reached():
    curves = {"cudfkd": curve(40, 80), "dfq": curve(30, 70), "kd": curve(60, 90, step=0), "cmi": curve(50, 75)}
    figure = plots.bands(curves, "generator updates")
    shown = [ax for ax in figure.axes if ax.get_visible()]
    assert [ax.get_title(loc="left") for ax in shown] == ["dfq", "cmi"]  # kd's clock stands still
    for ax, means in zip(shown, ([30, 70], [50, 75]), strict=True):
        level, rival, own = ax.lines
        assert set(np.asarray(level.get_ydata())) == {90}
        assert np.asarray(rival.get_ydata()).tolist() == means
        assert np.asarray(own.get_ydata()).tolist() == [40, 80]
        band = ax.collections[0].get_paths()[0].vertices[:, 1]
        assert (band.min(), band.max()) == (means[0] - 2, means[1] + 2)


def test_published_accuracies_stand_at_their_share_of_the_run():
    curves = {"cudfkd": curve(40, 60, 80, 80), "dfq": curve(30, 70)}
    for one in curves.values():
        one.index += 1
    figure = plots.beside_published(curves, {"cudfkd": pd.Series([90.0], [12.0])}, "published")
    (ax,) = figure.axes
    ours, published = ax.lines
    assert np.asarray(ours.get_xdata()).tolist() == [25, 50, 75, 100]
    assert np.asarray(ours.get_ydata()).tolist() == [40, 60, 80, 80]
    assert (np.asarray(published.get_xdata()), np.asarray(published.get_ydata())) == ([12], [90])
    assert figure.get_suptitle().endswith("Diamonds: published")


def test_steadiness_has_a_panel_a_number_and_published_marks_on_two():
    tables = {"mu": TABLE, "sigma2": TABLE / 10, "deviation": TABLE / 20, "fall": TABLE / 40}
    left, middle, right, last = plots.steadiness(tables, {"cudfkd": (94.1, 2.88)}, "published").axes
    assert rows(left) == NAMES
    assert xs(left)[-1] == [94.1]
    assert xs(middle)[-1] == [2.88]
    assert (xs(right)[-1], xs(last)[-1]) == ([4.0, 3.5], [2.0, 1.75])


def test_times_say_how_many_runs_got_there():
    figure = plots.times({"epochs": TABLE / 10, "seconds": TABLE}, {"cudfkd": "30 of 30", "dfq": "2 of 30"}, "To 80 %")
    left, right = figure.axes
    assert rows(left) == ["cudfkd: 30 of 30", "dfq: 2 of 30"]
    assert (xs(left)[2], xs(right)[2]) == ([8, 7], [80, 70])
    assert [ax.get_xlabel() for ax in figure.axes] == ["epochs", "seconds"]


def test_gains_have_words_on_both_sides():
    figure = plots.gains({"points": AGAINST, "more": AGAINST}, ["worse", "less"], ["better", "more"], "New - old")
    assert [words(ax) for ax in figure.axes] == [["← worse", "better →"], ["← less", "more →"]]
    assert xs(figure.axes[0])[2] == [2, -1]
    assert figure.get_suptitle().startswith("New - old. ")
    assert figure.axes[0].get_ylabel() == "method"
    assert plots.gains({"points": AGAINST}, ["worse"], ["better"], "New - old", "part").axes[0].get_ylabel() == "part"


def test_a_run_that_was_made_again_lies_on_its_record():
    names = {"accuracy": [0.2, 0.4], "accuracy_recorded": [0.3, 0.5], "accuracy_limit": [0.1, 0.2]}
    ax = plots.repeated(pd.DataFrame(names, index=pd.Index([1, 2], name="epoch")), "accuracy", "accuracy, %")
    recorded, again = ax.lines
    assert np.asarray(recorded.get_ydata()).tolist() == [30, 50]
    assert np.asarray(again.get_ydata()).tolist() == [20, 40]
    tolerance = [segment[:, 1].tolist() for segment in ax.collections[0].get_segments()]
    assert tolerance == [pytest.approx([20, 40]), pytest.approx([30, 70])]


def shares(*values: float) -> pd.DataFrame:
    edges = np.arange(len(values)) / len(values)
    return pd.DataFrame({"mean": values, "low": values, "high": values}, index=edges)


def test_histograms_have_bars_by_definition_and_an_outline_as_published():
    loyalties, published = ({"cudfkd": shares(*own), "dfq": shares(50.0, 50.0)} for own in ((25.0, 75.0), (60.0, 40.0)))
    means = {"cudfkd": (0.8, 0.6), "dfq": (0.7, 0.5)}
    ax, other, *_ = plots.histograms(loyalties, published, means, 0.66, "CIFAR-100").axes
    bars = [patch.get_height() for patch in ax.patches[:2]]
    assert bars == [25, 75]
    assert ax.patches[2].get_data().values.tolist() == [60, 40]
    assert [line[0] for line in xs(ax)] == [0.8, 0.6, 0.66]
    assert [line[0] for line in xs(other)] == [0.7, 0.5]  # the published mean is CuDFKD's


def test_measures_have_a_point_for_each_change_of_the_images():
    changes = {"real": TABLE, "moved": TABLE - 10, "noisy": TABLE - 20}
    figure = plots.measures({"agreement, %": changes, "loyalty": changes}, {"agreement, %": {"dfq": 96.0}}, "published")
    left, right = figure.axes
    points = [values for values in xs(left) if values not in ([78, 82], [60, 75])]
    assert [80, 70] in points
    assert [70, 60] in points
    assert [60, 50] in points
    assert points[-1] == [96.0]
    assert len(right.lines) == len(left.lines) - 1
    assert words(left) == ["noisy images", "moved images", "real images"]
    assert (left.get_xlim(), right.get_xlim()) == ((0, 100), (0, 1))


def test_errors_stand_beside_independent_errors():
    table = pd.DataFrame({"both": [6.0, 7.0], "low": [5.0, 6.5], "high": [7.0, 7.5], "independent": [2.0, 3.0],
                          "alike": [4.0, 5.0], "teacher": [8.0, 8.0]}, index=NAMES)  # fmt: skip
    ax = plots.errors(table)
    assert xs(ax) == [[8, 8], [2, 3], [4, 5], [5, 7], [6.5, 7.5], [6, 7]]


def test_changed_images_have_a_row_a_change():
    images = {"real, 90 % right": torch.zeros(3, 1, 4, 4), "moved, 20 % right": torch.ones(3, 1, 4, 4)}
    ax = plots.changes(images)
    assert rows(ax) == list(images)
    picture = np.asarray(ax.images[0].get_array())
    assert (picture[:4, :4].max(), picture[6:10, :4].min()) == (0, 1)
