import numpy as np
import pytest

from analysis.theory import rates
from analysis.theory.toys import descent
from analysis.theory.toys.descent import Exact
from analysis.theory.toys.problems import student
from cudfkd.base.errors import ConfigError
from tests.analysis.theory.toys import TOYS, every, pace, toy


@every
def test_exact_steps_descend_to_a_critical_point(reg):
    toy = TOYS["ridge"]
    assert rates.monotone(toy, reg, pace(reg), "exact", 30).passed
    assert rates.critical(toy, reg, pace(reg)).passed


@pytest.mark.parametrize("name", ["hard", "log", "cauchy"])
@toy
def test_gradient_steps_obey_their_bounds(toy, name):
    checks = (
        rates.monotone(toy, name, 1.5, "armijo", 30),
        rates.step_bound(toy, name, 1.5),
        rates.rate(toy, name, 1.5, steps=30),
    )
    assert [(result.name, result.verdict, result.worst_violation) for result in checks if not result.passed] == []


@pytest.mark.parametrize("batch_norm", [False, True])
def test_rate_holds_for_a_student(batch_norm):
    toy = student(2, batch_norm=batch_norm, corrupted=0.15)
    assert rates.monotone(toy, "log", 1.0, steps=40).passed
    assert rates.rate(toy, "log", 1.0, steps=40).passed


def test_rate_table_at_every_k():
    path = descent.run(student(0), "log", 2.0, steps=25)
    table = rates.rate_table(path)
    assert list(table.index) == list(range(1, 26))
    assert (table["best"] <= table["bound"]).all()
    assert (table["best"].diff().dropna() <= 0).all()
    np.testing.assert_allclose(table["ratio"], table["best"] / table["bound"])


def test_rate_needs_step_lengths():
    path = descent.run(TOYS["ridge"], "log", 1.5, Exact(), steps=3)
    with pytest.raises(ConfigError, match="path = 'a run of exact steps'"):
        rates.rate_table(path)


def test_network_has_no_step_bound():
    with pytest.raises(ConfigError, match="problem = 'StudentProblem'"):
        rates.step_bound(student(0), "log", 2.0)
