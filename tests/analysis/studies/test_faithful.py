"""Fidelity over seeds: measures, histograms and errors in common, by hand on a few runs."""

import pandas as pd
import pytest

from analysis.live.fidelity import BINS, CHANGES
from analysis.studies import faithful


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
    assert found["low"] == pytest.approx(found["high"])
