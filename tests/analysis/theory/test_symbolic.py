import dataclasses
import json

import numpy as np
import pytest
import sympy as sp
import torch

from analysis.theory.algebra import derivations, symbolic
from analysis.theory.algebra.families import FAMILIES, l, lam, v
from cudfkd.base.errors import ConfigError
from cudfkd.regularizers import JiangLog, Polynomial, Regularizer
from tests.analysis.theory.toys import SHAPED, TEN, every

REFUTED = {("jiang-log", "grows with lambda"), ("jiang-log", "cross derivative")}
BY_HAND = {("hard", "concavity"), ("hard", "grows with lambda"), ("hard", "cross derivative"), ("hard", "curvature")}
LOSSES = np.concatenate([[0.0], np.geomspace(1e-6, 60, 80)])


def some_paces(reg: Regularizer) -> tuple[float, ...]:
    return (0.05, 0.5, 0.99) if isinstance(reg, JiangLog) else (0.05, 0.7, 2.0, 12.0)


@every
def test_all_statements_are_settled(reg):
    proofs = symbolic.derive(reg.name).proofs
    assert len(proofs) == 13
    assert {(reg.name, proof.name) for proof in proofs if not proof.proved} == {
        key for key in BY_HAND if key[0] == reg.name
    }
    kinds = {(reg.name, proof.name): proof.kind for proof in proofs}
    assert {key for key, kind in kinds.items() if kind == "refutation"} == {
        key for key in REFUTED if key[0] == reg.name
    }
    assert {key for key, kind in kinds.items() if kind == "by hand"} == {key for key in BY_HAND if key[0] == reg.name}
    assert all(proof.latex and proof.statement for proof in proofs)


BROKEN = {
    "stationarity": ("penalty", lam * (1 - v) ** 2 / 3),
    "edges": ("penalty", lam * (1 - v) ** 2 / 3),
    "convex_penalty": ("penalty", -lam * (1 - v) ** 2 / 2),
    "fenchel": ("penalty", lam * (1 - v) ** 2 / 2 + lam / 100),
    "conjugate": ("penalty", lam * (1 - v) ** 2 / 2 + lam / 100),
    "integral": ("latent", l - l**2 / (3 * lam)),
    "slope": ("latent", l - l**2 / (3 * lam)),
    "concavity": ("latent", l + l**2 / (2 * lam)),
    "grows_with_lambda": ("weight", 1 - l * lam),
    "cross_derivative": ("weight", 1 / (1 + lam * l)),
    "curvature": ("curvature", 1 / (2 * lam)),
    "limits_in_loss": ("limit", lam / 3),
    "limits_in_lambda": ("at_top", sp.S.Zero),  # of v* and of F
}


@pytest.mark.parametrize("statement", BROKEN)
def test_a_wrong_formula_is_not_proved(statement):
    field, formula = BROKEN[statement]
    family = FAMILIES["linear"]
    if field in ("latent", "weight"):
        piece = dataclasses.replace(family.pieces[0], **{field: formula})
        family = dataclasses.replace(family, pieces=(piece, family.pieces[1]), signs=())
    else:
        family = dataclasses.replace(family, **{field: formula})
    prove = getattr(derivations, statement)
    assert prove(FAMILIES["linear"]).proved
    assert not prove(family).proved


def test_a_wrong_antiderivative_is_caught():
    # sympy 1.14 loses a term of the integral of ln(l + 1 - lambda) / ln(1 - lambda) when the constant is left inside
    weight = FAMILIES["jiang-log"].pieces[0].weight
    constant, factor = weight.as_independent(l, as_Add=False)
    assert sp.simplify(sp.diff(constant * sp.integrate(factor, l), l) - weight) == 0


@pytest.mark.parametrize("reg", SHAPED, ids=str)
def test_code_computes_what_is_proved(reg):
    at, weights = torch.from_numpy(LOSSES), torch.linspace(0.01, 1, 60, dtype=torch.float64)
    for pace in some_paces(reg):
        np.testing.assert_allclose(reg.weight(at, pace), symbolic.weight(reg, LOSSES, pace), rtol=0, atol=1e-14)
        np.testing.assert_allclose(reg.latent(at, pace), symbolic.latent(reg, LOSSES, pace), rtol=1e-12, atol=1e-13)
        symbols = symbolic.penalty(reg, weights.numpy(), pace)
        np.testing.assert_allclose(reg.penalty(weights, pace), symbols, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("reg", SHAPED, ids=str)
def test_curvature_bounds_the_slopes_of_the_weight(reg):
    for pace in some_paces(reg):
        bound = symbolic.curvature(reg, pace)
        grid = torch.linspace(0, 3 * pace, 20_001, dtype=torch.float64)
        steepest = float((-reg.weight(grid, pace).diff() / grid.diff()).max())
        assert steepest <= bound * (1 + 1e-9) + 1e-10
        if np.isfinite(bound):
            assert steepest >= 0.98 * bound
        else:
            assert reg.name == "hard" or (isinstance(reg, Polynomial) and reg.t > 2)


def test_tables_show_all_ten():
    table = symbolic.table()
    assert table.shape == (10, 13)
    assert not (table == "numeric").any(axis=None)
    assert (table == "fails").sum().sum() == 2
    assert symbolic.formulas().shape == (10, 5)
    assert list(table.index) == [reg.name for reg in TEN]


def test_derivation_shows_itself():
    derivation = symbolic.derive("soft")
    assert derivation is symbolic.derive("soft")
    assert derivation.name == "linear"
    assert derivation.proved
    assert derivation["Fenchel"].verdict == "0"
    assert "$$" in derivation._repr_markdown_()
    assert list(derivation.table().columns) == ["formula", "kind", "reduced to", "proved", "remark"]
    json.dumps([dataclasses.asdict(proof) for proof in derivation.proofs])


def test_all_ten_unfold():
    page = symbolic.folded()._repr_markdown_()
    assert page.count("<details><summary>") == page.count("</details>") == 10
    assert page.count("**stationarity.**") == 10


def test_unknown_names_and_bad_lambda_are_refused():
    with pytest.raises(ConfigError, match="unknown regularizer 'logg'"):
        symbolic.derive("logg")
    with pytest.raises(ConfigError, match="unknown proof 'fenchel'"):
        symbolic.derive("linear")["fenchel"]
    with pytest.raises(ConfigError, match=r"lam = 1.5 is not allowed: it must be in \(0, 1\)"):
        symbolic.weight("jiang-log", np.ones(2), 1.5)
    with pytest.raises(ConfigError, match="lam = -2"):
        symbolic.curvature("log", -2.0)
