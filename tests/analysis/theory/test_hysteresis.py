import numpy as np
import pytest
import torch

from analysis.theory import hysteresis
from analysis.theory.hysteresis import branch, branches, jumps, landmarks, sweep
from analysis.theory.toys.objective import objective
from analysis.theory.toys.problems import NotConvergedError, points
from cudfkd.base.errors import ConfigError
from cudfkd.regularizers import Logistic
from tests.analysis.theory.toys import gradient, hessian


def curvature(theta: float, lam: float, apart: float = 2.0) -> float:
    phi = objective(points(apart, -apart), "log", lam)
    return float(hessian(phi.value, torch.tensor([theta], dtype=torch.float64)))


@pytest.mark.parametrize("index", range(3))
def test_proofs(index):
    assert hysteresis.proofs()[index].proved


def test_landmarks_at_apart_2():
    marks = landmarks(2.0)
    assert marks.pitchfork == pytest.approx(3.0986, abs=1e-4)
    assert marks.crossing == pytest.approx(3.7060, abs=1e-4)
    assert marks.fold == pytest.approx(4.4059, abs=1e-4)
    assert curvature(0.0, marks.pitchfork) == pytest.approx(0, abs=1e-12)
    assert curvature(marks.outer, marks.fold) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("theta", [0.3, 1.0, 1.8, 1.96])
def test_branch_is_critical(theta):
    phi = objective(points(2.0, -2.0), "log", branch(theta))
    slope = gradient(phi.value, torch.tensor([theta], dtype=torch.float64))
    assert abs(float(slope)) < 1e-12


def test_stability_is_that_of_the_hessian():
    table = branches(count=40)
    some = table[(table["lam"] > 0.2)].iloc[::7]
    assert len(some) > 8
    for row in some.itertuples():
        assert (curvature(row.theta, row.lam) > 0) == row.stable


def test_jumps_differ_by_direction():
    assert hysteresis.loop(count=61).passed
    up, down = jumps(sweep(count=101))
    assert (up, down) == pytest.approx((4.45, 3.05))


def test_small_lambda_keeps_to_one_sample():
    swept = sweep(low=1.0, high=2.0, count=3)
    np.testing.assert_allclose(swept["theta"], 2, atol=0.02)


@pytest.mark.parametrize("apart", [1.0, 1.3, 21.0])
def test_no_loop_for_close_samples(apart):
    with pytest.raises(ConfigError, match=f"apart = {apart}"):
        landmarks(apart)


def test_slow_convergence_is_said(monkeypatch):
    monkeypatch.setattr(hysteresis, "MOST", 3)
    with pytest.raises(NotConvergedError, match=r"3 steps did not reach \|gradient\| = 1e-09 at lambda = 3"):
        hysteresis._settled(Logistic(), 3.0, 2.0, 1.0, 1e-9)


@pytest.mark.parametrize(
    ("more", "line"), [({"count": 1}, "count = 1"), ({"low": 0.0}, "low = 0.0"), ({"high": 0.5}, "high - low = -0.5")]
)
def test_bad_input(more, line):
    with pytest.raises(ConfigError, match=line):
        sweep(**more)


def test_a_fork_at_some_pace_needs_distance():
    assert hysteresis.smallest_fork() == pytest.approx(1.21559, abs=1e-5)
    assert hysteresis.pitchfork(1.2) < 0 < hysteresis.pitchfork(1.25) < hysteresis.pitchfork(2.0)
    assert curvature(0.0, 1e-3, apart=1.2) > 0 > curvature(0.0, 1e-3, apart=1.25)
    with pytest.raises(ConfigError, match=r"apart = 1.0"):
        hysteresis.pitchfork(1.0)


def test_a_forward_fork_has_no_loop():
    swept = sweep(apart=1.25, low=0.1, high=0.5, count=9)
    up, down = (swept.query(f"direction == '{way}'").sort_values("lam")["theta"].to_numpy() for way in ("up", "down"))
    np.testing.assert_allclose(up, down, atol=1e-5)
    assert up[0] > 0.2
    assert up[-1] < 1e-3
