import pytest
import torch

from analysis.theory import (
    counterexamples,
    curriculum_axioms,
    left_out,
    left_out_of_weights,
    left_out_while_moving,
    theorems,
)
from cudfkd.base.errors import ConfigError

HOMES = (counterexamples, curriculum_axioms, left_out, left_out_while_moving, left_out_of_weights)
KNOWN = {
    "step_too_large": {"Phi_0": 0.0050, "Phi_1": 0.0112, "Phi_2": 0.0251, "cycle at |theta|": 1.50368},
    "momentum_rises": {"rises": 26, "largest": 0.0576, "rises of the energy": 0, "rises of the energy, step 0.5": 25},
    "growth_rises": {"F before": 0.46396, "F after": 0.47476, "E before": -0.9039, "E after": -1.3599},
    "drift_cancels": {"student": -11.923, "drift": 12.004, "Phi at the end": 0.0812, "rising student steps": 0},
    "scalar_weight": {"F(mean l) before": 24.99, "F(mean l) after": 20.53, "mean F(l) before": 15.00,
                      "mean F(l) after": 15.25, "weight at lambda 2": 1.165e-10, "easy sample's own": 1.0},
    "hard_kink": {"gradient": 0.0, "F falls by": 9.995e-4, "hard's gradient at l = 4.5, lambda 2": 0.0},
    "through_the_weight": {"through v": -0.0999, "v*": 0.0204, "through v, with g": 0.0204},
    "one_sample_step": {"Phi before": 0.4831, "Phi after": 0.5626},
    "decay_rises": {"Phi before": 0.0, "Phi after": 0.00125},
    "generator_in_train_mode": {"eval mode": 0.0},
    "hard_stops": {"last theta": 2.0, "with weights (1, 1) at 2": 0.0, "selected gradient at 2": -1.0,
                   "Phi falls from 2 to 2.001 by": 9.995e-4},
    "steps_run_out": {"last gradient": 0.31027, "steps that rise": 0},
    "decay_on_one_side": {"apart, R on one side": 1.2115, "apart, R on both": 0.0},
    "interpolation": {"variance / |grad Phi|^2": 25.0, "Phi": 5.0e-5, "E Phi after a step": 6.0529e-5},
    "entropy_falls": {"H at 1e-09": 0.6917, "H at 8": 0.3263, "KL last": 1.8176e-6},
    "axioms_do_not_suffice": {"H at lambda 1": 0.69315, "H at lambda 3": 0.055546},
    "momentum_at_the_start": {"Phi at the start": 0.0, "gradients": 4.4577e-3, "Phi_0 - energy at the end": -2.6619e-3},
    "steps_grow": {"gradients": 0.045330, "Phi_0 - energy at the end": -2.5942},
    "decay_keeps_phi_up": {"Phi / Phi_0": 0.34460},
    "hard_sample_weighs_more": {"determinant of TP2": 0.15, "KL rises by": 0.037253},
    "all_weights_fall": {"determinant of TP2": 0.0, "alpha before": 1.0, "after": 0.5},
    "student_moves_on": {"E_Pi l before": 1.3850, "after": 0.19858},
    "kinked_divergence": {"determinant of TP2": -0.18, "(r - 1.5)+ rises by": 0.0, "KL rises by": 0.018404},
    "concave_generator": {"determinant of TP2": 0.63, "-chi^2 rises by": 0.63654},
    "weight_of_two": {"KL": 0.69315, "bound": 0.0},
    "convex_price": {"J at the minimiser": 1.0, "M / F(M) inf J": 0.66667},
    "steep_price": {"J at the minimiser": 1.0, "M / F(M) inf J": 0.54125},
    "negative_penalty": {"J at the minimiser": 0.0, "M / F(M) inf J": -2.6366, "Phi of the choice": -2.4829},
}  # fmt: skip


@pytest.mark.parametrize("name", KNOWN)
def test_numbers(name):
    numbers = next(getattr(home, name) for home in HOMES if hasattr(home, name))().numbers
    for key, value in KNOWN[name].items():
        assert numbers[key] == pytest.approx(value, rel=4e-3, abs=1e-12), key


def test_each_refutes_something():
    table = counterexamples.table()
    assert len(table) == len(KNOWN) == 28
    assert table["refutes"].is_unique
    assert set(table["theorem"]) <= set(theorems.names())


def test_weight_decay_is_part_of_the_objective():
    numbers = counterexamples.decay_rises().numbers
    assert numbers["Phi + R after"] < numbers["Phi + R before"]


def test_running_statistics_move_the_samples():
    state = torch.random.get_rng_state()
    assert counterexamples.generator_in_train_mode().numbers["train mode"] > 1e-3
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize("step", [2.2, 2.5, 2.7])
def test_cycle_is_where_the_weight_is_2_over_step(step):
    path = counterexamples.limit_cycle(step, 400)
    amplitude = counterexamples.cycle_amplitude(step)
    assert abs(float(path.thetas[-1])) == pytest.approx(amplitude, abs=1e-6)
    assert float(path.thetas[-1]) == pytest.approx(-float(path.thetas[-2]), abs=1e-6)


@pytest.mark.parametrize(("step", "period"), [(1.5, 1), (2.3, 2), (2.7, 2), (2.9, 2), (2.95, 4)])
def test_period_of_long_steps(step, period):
    points = counterexamples.attractor([step, 1.0], settle=2000)
    at = points.loc[points["step"] == step, "theta"]
    assert len(at) == 40
    assert at.round(5).nunique() == period


def test_cycle_loses_its_stability_at_2_734():
    assert counterexamples.cycle_is_stable(2.733)
    assert not counterexamples.cycle_is_stable(2.735)
    unequal = counterexamples.attractor([2.9], settle=2000)["theta"]
    assert abs(unequal.max() + unequal.min()) > 0.1


def test_no_cycle_for_short_steps():
    assert counterexamples.limit_cycle(1.9, 400).converged
    with pytest.raises(ConfigError, match="step = 2.0"):
        counterexamples.cycle_amplitude(2.0)


def test_sides_without_a_left_out_hypothesis():
    attained = left_out_while_moving.sides(theta=1.0, m=0.0, steps=[1.0], beta=0.0)
    assert attained.left == pytest.approx(attained.bound)
    tracked = left_out_while_moving.sides(theta=1.0, m=0.0, steps=[0.1] * 30, beta=0.9)
    assert 0 < tracked.left < tracked.bound
