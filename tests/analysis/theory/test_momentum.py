import numpy as np
import pytest
import torch

from analysis.theory import momentum
from analysis.theory.toys.problems import NotConvergedError, points, student
from cudfkd.base.errors import ConfigError
from tests.analysis.theory.toys import TOYS, every, pace, toy


@every
@toy
def test_theorem_8_holds(toy, reg):
    for check in (momentum.energy(toy, reg, pace(reg)), momentum.gradients(toy, reg, pace(reg))):
        assert check.passed, check


def test_steps_are_those_of_torch():
    toy, steps = student(4), momentum.cosine(0.05, 12)
    path = momentum.run(toy, "log", 2.0, steps)
    theta = torch.nn.Parameter(toy.start.clone())
    optimizer = torch.optim.SGD([theta], lr=1.0, momentum=0.9)
    from analysis.theory.toys.objective import objective

    phi = objective(toy, "log", 2.0)
    for step in steps:
        optimizer.param_groups[0]["lr"] = step
        optimizer.zero_grad()
        phi.value(theta).backward()
        optimizer.step()
    assert torch.allclose(path.thetas[-1], theta.detach(), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("step", "certified"), [(0.10, True), (0.19, True), (0.5, False), (1.2, False)])
def test_energy_falls_up_to_its_bound(step, certified):
    path = momentum.run(points(0.0, start=1.0), "log", 2.0, momentum.constant(step, 300))
    ups = int((np.diff(path.energy) > 1e-14).sum())
    assert (ups == 0) == certified
    assert (np.diff(path.objective) > 1e-14).sum() > 50


def test_energies_agree_at_constant_steps_and_part_when_the_step_drops():
    path = momentum.run(points(0.0, start=1.0), "log", 2.0, momentum.constant(0.1, 20))
    np.testing.assert_allclose(path.energy, path.displacement_energy, rtol=0, atol=1e-14)
    assert momentum.schedule_jump().passed
    assert momentum.schedule_jump().control.violation > 1


def test_cosine_falls_and_stays_positive():
    steps = momentum.cosine(0.3, 50)
    assert steps[0] == 0.3
    assert min(steps) > 0
    assert (np.diff(steps) < 0).all()


def test_table():
    table = momentum.run(points(0.0, start=1.0), "log", 2.0, momentum.constant(0.1, 5)).table()
    assert list(table.columns) == ["objective", "energy", "displacement energy", "momentum", "gradient"]
    assert len(table) == 6


def test_divergence_is_said():
    with pytest.raises(NotConvergedError, match="after step"):
        momentum.run(points(0.0, start=1.0), "cauchy", 1e3, [1e200, 1e200, 1e200])


def test_the_solution_is_handed_out_only_when_converged():
    short, long = (momentum.run(points(0.0, start=1.0), "log", 2.0, momentum.constant(0.1, n)) for n in (60, 600))
    with pytest.raises(NotConvergedError, match="after 60 steps with momentum"):
        _ = short.solution
    assert abs(float(long.solution)) <= 1e-7


@pytest.mark.parametrize(("call", "line"), [
    (lambda: momentum.run(points(0.0), "log", 2.0, [0.1], beta=1.0), "beta = 1.0"),
    (lambda: momentum.run(points(0.0), "log", 2.0, []), "number of steps = 0"),
    (lambda: momentum.run(points(0.0), "log", 2.0, [0.1, -0.1]), r"steps\[1\] = -0.1"),
    (lambda: momentum.energy(TOYS["ridge"], "log", 2.0, share=1.5), "share = 1.5"),
    (lambda: momentum.largest_step(student(0)), "problem = 'StudentProblem'"),
])  # fmt: skip
def test_bad_input(call, line):
    with pytest.raises(ConfigError, match=line):
        call()
