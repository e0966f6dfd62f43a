import pytest

from analysis.theory import majorization
from analysis.theory.toys.controls import ConvexLoss
from analysis.theory.toys.problems import student
from cudfkd.base.errors import ConfigError
from cudfkd.regularizers import Polynomial
from tests.analysis.theory.toys import TOYS, every, pace, toy


def assert_passed(checks):
    assert [(result.name, result.verdict, result.worst_violation) for result in checks if not result.passed] == []


@every
@toy
def test_holds_on_ridge_and_logistic(toy, reg):
    assert_passed(majorization.checks(toy, reg, pace(reg)))


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("name", ["hard", "log"])
def test_holds_for_a_student_on_a_frozen_batch(name, batch_norm):
    toy = student(1, n=32, hidden=8, batch_norm=batch_norm)
    checks = (
        majorization.above,
        majorization.touches,
        majorization.balances,
        majorization.sandwich,
        majorization.bregman,
    )
    assert_passed([statement(toy, name, 1.5, 0) for statement in checks])


def test_adversary_finds_nothing_for_a_student():
    assert_passed([majorization.search(student(1, n=16, hidden=4), "log", 1.5, starts=2)])


def test_parabola_holds_for_polynomials_up_to_t_2():
    assert_passed([majorization.bregman(TOYS["ridge"], Polynomial(t=1.5), 1.5)])


@every
def test_no_losses_break_it(reg):
    assert_passed([majorization.search_losses(reg)])


def test_the_global_adversary_finds_a_convex_f():
    assert majorization._deepest(ConvexLoss(), 1.5, 1.0, 0, 40) > 1


def test_two_runs_give_the_same_bits():
    assert majorization.checks(TOYS["ridge"], "log", 2.0) == majorization.checks(TOYS["ridge"], "log", 2.0)


def test_other_seeds_look_elsewhere():
    first, second = (majorization.above(TOYS["ridge"], "log", 2.0, seed) for seed in (0, 1))
    assert first.control.violation != second.control.violation


def test_slice_touches_at_zero():
    table = majorization.slice_table(TOYS["ridge"], "log", 2.0)
    middle = table.iloc[100]
    assert middle["distance"] == pytest.approx(0, abs=1e-15)
    assert middle["surrogate"] == pytest.approx(middle["objective"], abs=1e-14)
    assert (table["surrogate"] - table["objective"]).min() >= -1e-14


def test_bad_input():
    with pytest.raises(ConfigError, match="lam = 0.0"):
        majorization.above(TOYS["ridge"], "log", 0.0)
    with pytest.raises(ConfigError, match="points = 0"):
        majorization.above(TOYS["ridge"], "log", 1.0, points=0)
