import pytest
import torch

from analysis.theory import curriculum_axioms as axioms
from analysis.theory.toys.controls import StepWeight
from tests.analysis.theory.toys import TEN

MONOTONE = [reg for reg in TEN if reg.name != "jiang-log"]
STATEMENTS = (axioms.activity_grows, axioms.gets_harder, axioms.approaches_prior, axioms.entropy_grows,
              axioms.totally_positive)  # fmt: skip


@pytest.mark.parametrize("reg", MONOTONE, ids=lambda reg: reg.name)
def test_theorem_9_holds(reg):
    found = [one(reg) for one in STATEMENTS]
    assert [(one.name, one.verdict, one.worst_violation) for one in found if not one.passed] == []


def test_theorem_9_fails_for_jiang_log():
    assert [statement("jiang-log").verdict for statement in STATEMENTS] == ["fails"] * 5


def test_how_often_each_statement_fails():
    log, jiang = axioms.violations("log", 60), axioms.violations("jiang-log", 60)
    always = ("alpha falls", "mean loss falls", "KL grows", "chi2 grows", "entropy falls, P uniform")
    assert [log[name] for name in always] == [0] * 5
    assert 20 < log["entropy falls"] < 60
    assert min(jiang.values()) > 15


def test_entropy_falls_for_an_uneven_prior():
    numbers = axioms.entropy_falls().numbers
    entropies = [value for name, value in numbers.items() if name.startswith("H")]
    assert entropies == pytest.approx([0.692, 0.691, 0.672, 0.578, 0.386, 0.326], abs=1e-3)
    assert numbers["KL first"] == pytest.approx(0.571, abs=1e-3)
    assert numbers["KL last"] < 1e-5
    assert (numbers["E_Pi l first"], numbers["E_Pi l last"]) == pytest.approx((1.47, 2.71), abs=5e-3)


def test_self_paced_axioms_do_not_make_a_curriculum():
    numbers = axioms.axioms_do_not_suffice().numbers
    assert (numbers["H at lambda 1"], numbers["H at lambda 3"]) == pytest.approx((0.693, 0.056), abs=1e-3)


def test_step_weight_is_legal():
    losses = torch.linspace(0, 40, 401, dtype=torch.float64)
    table = torch.stack([StepWeight().weight(losses, lam) for lam in (0.5, 1.0, 2.0, 3.0)])
    assert bool((table.diff(dim=0) >= 0).all())
    assert bool((table.diff(dim=1) <= 0).all())
    v = torch.linspace(0, 1, 1001, dtype=torch.float64)
    for lam in (0.5, 3.0):
        lines = v[:, None] * losses + StepWeight().penalty(v, lam)[:, None]
        assert torch.allclose(lines.min(0).values, StepWeight().latent(losses, lam), atol=1e-12)
        assert float(StepWeight().latent_limit(lam)) == pytest.approx(
            float(StepWeight().latent(losses[-1:] * 100, lam))
        )
