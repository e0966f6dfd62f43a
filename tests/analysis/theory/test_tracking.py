import numpy as np
import pytest

from analysis.theory import bounds, columns, tracking
from analysis.theory.toys.problems import points, ridge, student
from cudfkd.base.errors import ConfigError
from tests.analysis.theory.toys import every, paces, toy


@every
@toy
def test_the_student_tracks(reg, toy):
    assert tracking.tracked(toy, reg, paces(reg)).passed


def test_the_bound_is_attained():
    assert tracking.attained().passed
    even = tracking.chase(0.3)
    assert even.table["squared"].tolist() == pytest.approx([0.09] * 50)
    assert even.bound == pytest.approx(even.left, abs=1e-12)
    assert even.table["growth"].abs().max() == 0
    swinging = tracking.run_away(beta=0.5)
    assert swinging.bound == pytest.approx(swinging.left, rel=1e-10)


def test_a_bound_that_is_a_tenth_too_small_is_seen(monkeypatch):
    right = bounds.kappa
    monkeypatch.setattr(bounds, "kappa", lambda product, beta=0.0: 0.9 * right(product, beta))
    assert tracking.tracked(ridge(0, n=10, d=2), "log", [1.0, 1.5]).verdict == "fails"
    assert tracking.attained().verdict == "fails"


def test_constant_drift_leaves_a_floor():
    table = tracking.floor([0.1, 0.4], [1, 200])
    np.testing.assert_allclose(table, np.outer([2, 1 + 1 / 200], [0.01, 0.16]))


def test_the_parts_of_a_track_add_up():
    moving = list(tracking.drifting(columns.problem(0), 4))
    track = tracking.follow(moving, "log", [1.0, 1.2, 1.4, 1.6], [0.1] * 3)
    parts = float(track.table[["student", "growth", "drift"]].to_numpy().sum())
    assert track.final - track.table["objective"].iloc[0] == pytest.approx(parts, abs=1e-12)
    assert track.table["growth"].min() > 0


@pytest.mark.parametrize(("call", "line"), [
    (lambda: tracking.follow([points(0.0)], "log", [1.0], []), "number of steps = 0"),
    (lambda: tracking.follow([points(0.0)] * 3, "log", [1.0] * 2, [0.1]), "the number of problems = 3"),
    (lambda: tracking.follow([points(0.0)] * 2, "log", [1.0], [0.1]), "the number of lambdas = 1"),
    (lambda: tracking.follow([points(0.0)] * 2, "log", [1.0, 1.0], [2.1]), r"steps\[0\] = 2.1"),
    (lambda: tracking.follow([points(0.0)] * 3, "log", [1.0] * 3, [0.1, 0.2]), r"steps\[1\] = 0.2"),
    (lambda: tracking.follow([points(0.0)] * 2, "log", [1.0, 1.0], [0.1], beta=1.0), "beta = 1.0"),
    (lambda: tracking.tracked(student(n=8, hidden=2), "log", [1.0, 1.0]), "StudentProblem"),
])  # fmt: skip
def test_bad_input(call, line):
    with pytest.raises(ConfigError, match=line):
        call()
