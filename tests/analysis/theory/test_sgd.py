import numpy as np
import pytest
import torch

from analysis.theory import sgd
from analysis.theory.toys import problems
from analysis.theory.toys.objective import objective
from cudfkd import ConfigError


def test_a_walk_by_the_full_batch_is_gradient_descent():
    pool = problems.points(1.0)
    walked = sgd.walk(pool, "log", 2.0, step=0.5, batch=1, steps=20)
    phi, theta = objective(pool, "log", 2.0), pool.start
    for value in walked.objective:
        assert value == pytest.approx(float(phi.value(theta)))
        theta = theta - 0.5 * phi.point(theta).gradient
    assert walked.noise == pytest.approx(np.zeros(20), abs=1e-24)
    assert (walked.change < 0).all()


def test_the_slope_of_one_sample_is_the_squared_gradient_up_to_second_order_in_the_step():
    walks = [sgd.walk(problems.points(2.0), "log", 2.0, step, 1, 1) for step in (0.2, 0.1, 0.05)]
    gaps = [abs(float(walk.slope[0] - walk.squared[0])) for walk in walks]
    assert gaps[1] < gaps[0] / 3
    assert gaps[2] < gaps[1] / 3


def test_the_slope_on_the_way_is_the_squared_gradient_and_not_when_divided():
    pool = problems.student(0, n=256)
    walks = [sgd.walk(pool, "log", 0.5, 0.3, 8, 600, seed=2, divide=divide) for divide in (False, True)]
    assert sgd.slope_on_the_way(*walks, block=50).passed


def test_falls_and_windows():
    walked = sgd.walk(problems.student(0, n=32, hidden=4), "log", 2.0, 0.3, 4, 60)
    assert walked.falls().value == np.mean(walked.change < 0)
    assert len(walked.window(10, 30).change) == 20
    assert walked.mean_change(5).covers(walked.change.mean())


def test_mean_changes_stay_below_the_bound():
    lengths = [0.05, 0.2, 0.4]
    result = sgd.mean_changes(problems.ridge(0, n=20), "log", 2.0, lengths, draws=200)
    assert all(change.low <= bound for change, bound in zip(result.changes, result.bounds, strict=True))
    assert result.drops[0] < 0


@pytest.mark.parametrize(
    ("change", "line"), [({"step": 0.0}, "step = 0.0"), ({"batch": 0}, "batch = 0"), ({"steps": 0}, "steps = 0")]
)
def test_bad_input(change, line):
    values = {"step": 0.1, "batch": 2, "steps": 3} | change
    with pytest.raises(ConfigError, match=line):
        sgd.walk(problems.points(1.0, 2.0), "log", 2.0, **values)
    assert torch.is_grad_enabled()
