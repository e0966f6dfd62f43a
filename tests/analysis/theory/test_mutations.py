"""Every check sees a claim that is wrong by a tenth: mutations of the bounds and of the regularizers."""

from dataclasses import dataclass

import pytest
import torch

from analysis.theory import bounds, columns, expected
from cudfkd.regularizers import ALL, Cauchy, Hard, Linear, Logistic, Polynomial, Regularizer

LESS, MORE = 0.9, 1.1  # an upper bound that is too small; a descent, or a step, that is promised too large
CLAIMS = [
    ("bregman", "T2", LESS), ("step_drop", "T3", MORE), ("armijo_step", "T4", MORE), ("exact_drop", "T4", MORE),
    ("mean_squared", "T4", LESS), ("mean_squared", "T5", LESS), ("growth_budget", "T5", LESS),
    ("largest_loss", "T5", LESS), ("missing_gradient", "T5'", LESS), ("missing_at_most", "T5'", LESS),
    ("log_tail", "T5'", LESS), ("coupled", "T6", LESS), ("plain_change", "T6", LESS), ("transport", "T6", LESS),
    ("moved_mass", "T6", LESS), ("step_drop", "T7", MORE), ("noise_rise", "T7", LESS), ("batch_variance", "T7", LESS),
    ("energy_drop", "T8", MORE), ("gradient_sum", "T8", LESS), ("kappa", "T10", LESS), ("batch_noise", "T10", LESS),
    ("linear_drop", "T11", MORE), ("path_loss", "T11", LESS), ("batch_growth", "T11", LESS), ("activity", "T13", LESS),
    ("price", "T14", LESS),
]  # fmt: skip
FIVE = [kind() for kind in (Hard, Linear, Logistic, Polynomial, Cauchy)]  # a kink, a cut, a tail, steep, unbounded
VOID = {("moved_mass", reg.name) for reg in FIVE if torch.isinf(reg.latent_limit(0.5))}
VOID |= {("log_tail", reg.name) for reg in FIVE if reg.name != "log"}
FAILS = {(theorem, name) for (theorem, name), (verdict, _) in expected.EXPECTED.items() if verdict == "fails"}


def seen(theorem: str, reg: Regularizer) -> bool:
    """Whether a check of this cell of the matrix does not hold."""
    return any(not check.holds for check in columns.COLUMNS[theorem](reg, 0))


def test_every_bound_has_a_mutation():
    public = {name for name, entry in vars(bounds).items() if getattr(entry, "__module__", "") == bounds.__name__}
    assert public == {name for name, _, _ in CLAIMS}


@pytest.mark.parametrize("reg", FIVE, ids=lambda reg: reg.name)
@pytest.mark.parametrize(("name", "theorem", "factor"), CLAIMS)
def test_a_bound_that_is_wrong_by_a_tenth_is_seen(name, theorem, factor, reg, monkeypatch):
    if (name, reg.name) in VOID:
        pytest.skip("the theorem makes no such claim for this regularizer")
    right = getattr(bounds, name)
    monkeypatch.setattr(bounds, name, lambda *given: factor * right(*given))
    assert seen(theorem, reg)


@dataclass(frozen=True)
class Scaled:
    """A mutation of a regularizer: its weight, latent loss or penalty multiplied by a factor."""

    part: str
    factor: float
    seen_by: tuple[str, ...]


MUTATIONS = [
    Scaled("_latent", 1.1, ("T1", "T2", "T5'", "T6")),
    Scaled("_latent", 0.9, ("T1", "T2", "T3", "T4", "T5'", "T8")),
    Scaled("_latent", 5.0, ("T1", "T2", "T5'", "T6")),
    Scaled("_weight", 1.1, ("T1", "T2", "T3", "T5'", "T8")),
    Scaled("_weight", 0.9, ("T1", "T2", "T6")),
    Scaled("_penalty", 1.1, ("T1", "T2")),
    Scaled("_penalty", 0.9, ("T1", "T2")),
]


UNTOUCHED = {
    "a prior of the weights exists": "the claim is a sign, and its control is hard",
    "TP2 and no less": "the claim is a sign; test_equivalence.py shows that a wrong determinant is seen",
    "growth is not negative": "the claim is a sign, and its control lets lambda fall",
    "batch gradient is unbiased": "the claim has no bound, and its control divides by the weights",
}


def test_every_check_sees_a_mutation(monkeypatch):
    checks = {check.name for column in columns.COLUMNS.values() for check in column(Logistic(), 0)}
    seen_by = set()
    for name, theorem, factor in CLAIMS:
        right = getattr(bounds, name)
        monkeypatch.setattr(bounds, name, lambda *given, right=right, factor=factor: factor * right(*given))
        seen_by |= {check.name for check in columns.COLUMNS[theorem](Logistic(), 0) if not check.holds}
        monkeypatch.setattr(bounds, name, right)
    mutants = [scaled(Logistic, "_latent", factor) for factor in (1.1, 0.9)] + [Backwards()]
    for theorem in ("T1", "T2", "T5'", "T9", "T12", "T14"):
        for wrong in mutants:
            seen_by |= {check.name for check in columns.COLUMNS[theorem](wrong, 0) if not check.holds}
    assert checks - seen_by == set(UNTOUCHED)


class Backwards(Logistic):
    """A mutation of log that reads lambda the wrong way round: lessons get easier as lambda grows."""

    def _weight(self, loss, lam):
        return super()._weight(loss, 1 / lam)


def scaled(kind: type[Regularizer], part: str, factor: float) -> Regularizer:
    """A regularizer of this kind, with a single formula multiplied by a factor."""
    right = getattr(kind, part)
    return type(kind.__name__, (kind,), {part: lambda self, *given: factor * right(self, *given)})()


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.name)
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: f"{mutation.part[1:]} x {mutation.factor}")
def test_a_regularizer_with_a_wrong_formula_is_seen(mutation, kind):
    wrong = scaled(kind, mutation.part, mutation.factor)
    unseen = [theorem for theorem in mutation.seen_by if (theorem, kind.name) not in FAILS and not seen(theorem, wrong)]
    assert unseen == []
