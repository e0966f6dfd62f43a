"""Fidelity over seeds: measures, histograms and errors in common, by hand on a few runs."""

import pandas as pd
import pytest

from analysis.live.fidelity import BINS, CHANGES
from analysis.studies import faithful, table
from cudfkd import DataError
from tests.analysis.studies import compared


def made() -> pd.DataFrame:
    """Six seeds and two teachers; a run's numbers grow by 0.01 a seed, and are 0.02 higher for the second teacher."""
    rows = []
    for method, base in (("cudfkd", 0.8), ("dfq", 0.6)):
        for teacher in (0, 1):
            for seed in range(6):
                value = base + 0.01 * seed + 0.02 * teacher
                numbers = {f"{change}_{name}": value for change in CHANGES for name in faithful.MEASURES}
                errors = {"student_wrong": 1 - value, "teacher_wrong": 0.1, "both_wrong": 0.08, "wrong_alike": 0.06}
                loyalties = [0.0] * (BINS - 1) + [value]
                rows.append({"method": method, "teacher": teacher, "seed": seed, "loyalties": loyalties}
                            | numbers | errors)  # fmt: skip
    return pd.DataFrame(rows)


def test_measures_are_means_over_seeds_of_means_over_teachers():
    found = faithful.measures(made(), "agreement")
    assert list(found) == ["real", "moved", "noisy"]
    assert found["real"].loc["dfq", "value"] == pytest.approx(63.5)
    assert found["real"].loc["dfq", "n"] == 6
    assert faithful.measures(made(), "loyalty")["noisy"].loc["cudfkd", "value"] == pytest.approx(0.835)


def test_histograms_have_a_row_a_bin():
    found = faithful.histograms(made(), "loyalties")
    assert list(found) == ["cudfkd", "dfq"]
    assert found["dfq"].index.tolist() == pytest.approx([edge / BINS for edge in range(BINS)])
    assert found["dfq"].iloc[-1].tolist() == pytest.approx([63.5, 61.0, 66.0])
    assert float(found["dfq"].iloc[:-1].to_numpy().max()) == 0


def test_errors_stand_beside_independent_errors():
    found = faithful.errors(made()).loc["dfq"]
    assert found["independent"] == pytest.approx(3.65)
    assert (found["student"], found["both"], found["alike"]) == pytest.approx((36.5, 8.0, 6.0))
    assert found["teacher"] == pytest.approx(10)
    assert found["low"] == pytest.approx(found["high"])


def runs(**made) -> pd.DataFrame:
    return table.frame(compared.record(**made))


@pytest.mark.parametrize(
    ("ours", "word"), [(0.86, "holds"), (0.60, "fails"), (0.79, "undecided")], ids=["ahead", "behind", "as good"]
)
def test_the_checks_of_c8_take_every_measure_on_every_change(ours, word):
    found = faithful.faithful_everywhere(runs(changes={"cudfkd": ours}))
    assert [check.name.removeprefix("most faithful by ") for check in found] == [
        f"{measure} on {change} images"
        for measure in ("agreement", "loyalty by definition", "loyalty as published")
        for change in ("real", "moved", "noisy")
    ]
    assert {check.verdict for check in found} == {word}
    assert {check.claims for check in found} == {("C8",)}


def test_a_part_of_the_seeds_is_not_tested():
    with pytest.raises(DataError, match="2 seeds are too few for a test"):
        faithful.faithful_everywhere(runs(seeds=2))


def test_the_most_faithful_method_comes_first_in_all_tables():
    ordered = faithful.ordered(runs(seeds=2, changes={"zskt": 0.95}))
    assert len(ordered) == 13 * 3 * 2
    names = list(faithful.errors(ordered).index)
    assert (names[:2], names[-1]) == (["zskt", "kd"], "noise")
    assert list(faithful.measures(ordered, "loyalty")["moved"].index) == names
    assert list(faithful.histograms(ordered, "loyalties")) == names


def test_differences_are_of_the_real_images_and_have_a_unit():
    found = faithful.differences(runs(seeds=2, noise=0.0, changes={"cudfkd": 0.85}))
    assert list(found) == ["agreement, points", "loyalty by definition", "loyalty as published"]
    assert found["agreement, points"]["difference"]["dfq"] == pytest.approx(6)
    assert found["loyalty as published"]["difference"]["zskt"] == pytest.approx(0.26)
    assert "scratch" not in found["loyalty by definition"].index


@pytest.mark.parametrize(("ours", "place"), [(0.86, 1), (0.775, 3), (0.3, 10)])
def test_the_place_of_cudfkd_is_among_the_data_free_methods(ours, place):
    found = faithful.places(runs(seeds=2, noise=0.0, changes={"cudfkd": ours}))
    assert found.shape == (3, 3)
    assert set(found.to_numpy().ravel()) == {place}
