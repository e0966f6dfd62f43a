"""Every check sees a claim that is wrong by a tenth: mutations of the bounds and of the regularizers."""

from dataclasses import dataclass, fields

import pytest
import torch

from analysis.theory import bounds, matrix
from cudfkd.regularizers import ALL, Regularizer
from tests.analysis.theory.toys import TEN, every

LESS, MORE = 0.9, 1.1  # an upper bound that is too small; a descent, or a step, that is promised too large
CLAIMS = {
    "bregman": ("T2", LESS), "step_drop": ("T3", MORE), "armijo_step": ("T4", MORE), "exact_drop": ("T4", MORE),
    "mean_squared": ("T4", LESS), "growth_budget": ("T5", LESS), "largest_loss": ("T5", LESS),
    "missing_gradient": ("T5'", LESS), "missing_at_most": ("T5'", LESS), "log_tail": ("T5'", LESS),
    "coupled": ("T6", LESS), "plain_change": ("T6", LESS), "transport": ("T6", LESS), "moved_mass": ("T6", LESS),
    "noise_rise": ("T7", LESS), "batch_variance": ("T7", LESS), "energy_drop": ("T8", MORE),
    "gradient_sum": ("T8", LESS),
}  # fmt: skip
VOID = {("moved_mass", reg.name) for reg in TEN if torch.isinf(reg.latent_limit(0.5))}
VOID |= {("log_tail", reg.name) for reg in TEN if reg.name != "log"}
FAILS = {(theorem, name) for (theorem, name), (verdict, _) in matrix.EXPECTED.items() if verdict == "fails"}


def seen(theorem: str, reg: Regularizer) -> bool:
    """Whether a check of this cell of the matrix does not hold."""
    return any(not check.holds for check in matrix.COLUMNS[theorem](reg, 0))


def test_every_bound_has_a_mutation():
    public = {name for name, entry in vars(bounds).items() if getattr(entry, "__module__", "") == bounds.__name__}
    assert public == set(CLAIMS)


@every
@pytest.mark.parametrize("name", CLAIMS)
def test_a_bound_that_is_wrong_by_a_tenth_is_seen(name, reg, monkeypatch):
    theorem, factor = CLAIMS[name]
    if (name, reg.name) in VOID or (theorem, reg.name) in FAILS:
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


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.name)
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: f"{mutation.part[1:]} x {mutation.factor}")
def test_a_regularizer_with_a_wrong_formula_is_seen(mutation, kind):
    right = getattr(kind, mutation.part)
    part = {mutation.part: lambda self, *given: mutation.factor * right(self, *given)}
    wrong = type(kind.__name__, (kind,), part)()
    assert [f.name for f in fields(wrong)] == [f.name for f in fields(kind)]
    unseen = [theorem for theorem in mutation.seen_by if (theorem, kind.name) not in FAILS and not seen(theorem, wrong)]
    assert unseen == []
