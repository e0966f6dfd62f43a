"""Verdicts on C1 on made-up runs whose truth is known: error rate without an effect, power with one, and controls."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from analysis.studies import curves, target
from cudfkd import DataError
from tests.analysis.studies import curved

METHODS = ("dfq", "cmi", "mb-dfkd")


def rivals(gains: tuple[float, ...], seed: int = 0, seeds: int = 10) -> pd.DataFrame:
    """Runs of three methods: the method's gain by the term, the seed's part, and noise of 1."""
    rng = np.random.default_rng(seed)
    of_seed = rng.normal(0, 2, seeds)
    return pd.DataFrame(
        [
            {"method": method, "target": place, "seed": each,
             "accuracy": 70 + gain * (place == target.FOLLOWS) + of_seed[each] + rng.normal()}
            for method, gain in zip(METHODS, gains, strict=True) for place in (target.FOLLOWS, target.IGNORES)
            for each in range(seeds)
        ]
    )  # fmt: skip


def noise(seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(1000 + seed)
    return pd.DataFrame(
        [{"method": "noise", "teacher": 0, "seed": each, "accuracy": 17 + rng.normal()} for each in range(10)]
    )


def parts(gain: float, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    of_seed = rng.normal(0, 2, 10)
    truth = {target.WHOLE: gain, target.WITHOUT: 0.0, "no ramp": gain}
    return pd.DataFrame(
        [{"part": part, "seed": each, "accuracy": 80 + value + of_seed[each] + rng.normal()}
         for part, value in truth.items() for each in range(10)]
    )  # fmt: skip


def of_rivals(*gains: float, seed: int = 0, sign: int = 1):
    made = rivals(gains, seed)
    return target.rivals_need_it(target.of_rivals(made, "accuracy"), noise(seed), "accuracy", "accuracy", sign)


def of_parts(gain: float, seed: int = 0):
    return target.ours_needs_it(parts(gain, seed), "accuracy", "accuracy")


def verdicts(judge, times: int = 60) -> Counter:
    return Counter(judge(seed).verdict for seed in range(times))


def test_a_gain_is_paired_by_seed():
    made = rivals((5.0, 1.0, 0.0))
    wide = made[made["method"] == "dfq"].pivot(index="seed", columns="target", values="accuracy")
    found = target.of_rivals(made, "accuracy")
    assert list(found.columns) == list(METHODS)
    assert found["dfq"].tolist() == pytest.approx((wide[target.FOLLOWS] - wide[target.IGNORES]).tolist())
    assert list(target.of_parts(parts(2.0), "accuracy").columns) == [target.WITHOUT, "no ramp"]
    assert target.of_parts(parts(2.0), "accuracy")[target.WITHOUT].mean() == pytest.approx(2, abs=1.2)


def test_without_an_effect_either_decision_is_rare():
    """Each has level 0.05: of 60, eight or more come in fewer than 2 of 100 series."""
    for judge in (lambda seed: of_rivals(0.0, 0.0, 0.0, seed=seed), lambda seed: of_parts(0.0, seed)):
        words = verdicts(judge)
        assert words["holds"] <= 7
        assert words["fails"] <= 7


@pytest.mark.parametrize(
    ("judge", "word"),
    [
        (lambda seed: of_rivals(3.0, 3.0, 3.0, seed=seed), "holds"),
        (lambda seed: of_parts(2.0, seed), "holds"),
        (lambda seed: of_rivals(3.0, -3.0, 3.0, seed=seed), "fails"),
        (lambda seed: of_parts(-2.0, seed), "fails"),
        (lambda seed: of_rivals(3.0, 0.0, 3.0, seed=seed), "undecided"),
    ],
    ids=["all gain", "ours gains", "one loses", "ours loses", "one is the same"],
)
def test_an_effect_is_seen(judge, word):
    """A void verdict is possible: the control errs once in 32."""
    assert verdicts(judge, 40)[word] >= 32


def test_less_can_be_better():
    assert of_rivals(-3.0, -3.0, -3.0, sign=-1).verdict == "holds"
    assert of_rivals(3.0, 3.0, 3.0, sign=-1).verdict == "fails"


def test_a_control_with_an_effect_makes_the_check_void():
    drifting = noise().assign(accuracy=lambda runs: runs["accuracy"] + 10 * (runs["seed"] >= 5))
    gains = target.of_rivals(rivals((3.0, 3.0, 3.0)), "accuracy")
    assert target.rivals_need_it(gains, drifting, "accuracy", "accuracy").verdict == "void"


def test_no_verdict_from_runs_that_are_missing_or_doubled():
    made = rivals((3.0, 3.0, 3.0))
    gone = (made["method"] == "cmi") & (made["target"] == target.IGNORES) & (made["seed"] == 4)
    name = "the run of method cmi, target ignores the student, seed 4"
    for wrong, line in [
        (made[~gone], f"{name} is missing, or has no accuracy"),
        (pd.concat([made, made[gone]]), f"{name} stands twice"),
    ]:
        with pytest.raises(DataError, match=line):
            target.of_rivals(wrong, "accuracy")


def test_few_seeds_have_gains_and_no_verdict():
    gains = target.of_rivals(rivals((3.0, 3.0, 3.0)), "accuracy")[:5]
    assert len(gains) == 5
    with pytest.raises(DataError, match="5 seeds are too few for a test: take 6 or more"):
        target.rivals_need_it(gains, noise(), "accuracy", "accuracy")


def steady(name: str, **made) -> pd.DataFrame:
    return curves.steadiness(curves.epochs(curved.record(name, **made)))


def without_student(at) -> bool:
    return at.get("target") == target.IGNORES or "no student" in at.get("part", "")


def test_c1_has_a_check_for_rivals_and_cudfkd_and_for_both_measures():
    worse = {"height": lambda at: 0.7 if without_student(at) else 0.8}
    found = target.needed(steady("target", **worse), steady("parts", **worse), steady("comparison"))
    assert {check.name: check.verdict for check in found} == {
        "rivals: accuracy needs the student in the target": "holds",
        "CuDFKD: accuracy needs the student in the target": "holds",
        "rivals: steadiness needs the student in the target": "undecided",
        "CuDFKD: steadiness needs the student in the target": "undecided",
    }
    assert {check.claims for check in found} == {("C1",)}


def test_c1_is_refuted_where_the_student_in_the_target_does_harm():
    better = {"height": lambda at: 0.8 if without_student(at) else 0.7}
    found = target.needed(steady("target", **better), steady("parts", **better), steady("comparison"))
    assert [check.verdict for check in found if "accuracy" in check.name] == ["fails", "fails"]
