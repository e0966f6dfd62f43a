"""The derivations of the ten regularizers with symbolic lambda: weight, latent loss and penalty belong together.

For each regularizer (Meng, Zhao and Jiang, 2017; Fan et al., 2017, from memory), with v* in closed form:

    stationarity   l + g'(v*) = 0 inside (0, 1); v* is 0 or 1 where the solution of this equation leaves [0, 1]
    integral       F(l) = integral of v* from 0 to l          slope      F' = v*
    Fenchel        v* l + g(v*) = F                           conjugate  g(v) = sup over l >= 0 of F(l) - v l

The axioms of a self-paced regularizer follow: g convex, v* nonincreasing in l from 1 to 0, v* nondecreasing in lambda
from 0 to 1. Last come d2 ln v* / dl dlambda >= 0 (the hypothesis of T9) and the largest |F''| (the constant in the
bound of T2).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import inf

import numpy as np
import pandas as pd
import sympy as sp
from jaxtyping import Float

from analysis.checks import validate
from analysis.theory.algebra import families
from analysis.theory.algebra.derivations import IN_ORDER
from analysis.theory.algebra.families import FAMILIES
from analysis.theory.algebra.proof import Proof
from cudfkd.base.errors import ConfigError, unknown
from cudfkd.regularizers import Regularizer

Array = Float[np.ndarray, "..."]


@dataclass(frozen=True, eq=False)
class Derivation:
    """One regularizer with all its proofs. `derivation["Fenchel"]` is the proof of that name.

    name: the name in `cudfkd.regularizers`.
    penalty, weight, latent, limit: g(v), v*(l), F(l), F(infinity) in LaTeX.
    proofs: the proofs in the order in which a reader would do them.
    """

    name: str
    penalty: str
    weight: str
    latent: str
    limit: str
    proofs: tuple[Proof, ...]

    def __getitem__(self, name: str) -> Proof:
        proofs = {proof.name: proof for proof in self.proofs}
        if name not in proofs:
            raise ConfigError(unknown("proof", name, proofs))
        return proofs[name]

    @property
    def proved(self) -> bool:
        """Whether sympy settled every statement that is not argued in words (a refutation settles one, too)."""
        return all(proof.proved for proof in self.proofs if not proof.argued)

    def table(self) -> pd.DataFrame:
        """One row per proof: name, formula, kind, reduced form, whether it is proved, remark."""
        rows = [
            {"proof": proof.name, "formula": f"${proof.latex}$", "kind": proof.kind, "reduced to": proof.reduced,
             "proved": proof.proved, "remark": proof.reason}
            for proof in self.proofs
        ]  # fmt: skip
        return pd.DataFrame(rows).set_index("proof")

    def _repr_markdown_(self) -> str:
        head = rf"$$ g(v) = {self.penalty},\qquad v^*(\ell) = {self.weight},\qquad F(\ell) = {self.latent} $$"
        return "\n\n".join([f"### {self.name}", head, *(proof._repr_markdown_() for proof in self.proofs)])


@cache
def derive(name: str) -> Derivation:
    """All proofs about one regularizer.

    Arguments:
        name: a name in `cudfkd.regularizers.names()`.

    Raises:
        ConfigError: unknown name.
    """
    family = FAMILIES[validate.known(name).name]
    g, v_star, f = sp.latex(family.penalty), sp.latex(family.weight), sp.latex(family.latent)
    proofs = tuple(prove(family) for prove in IN_ORDER)
    return Derivation(family.name, g, v_star, f, sp.latex(family.limit), proofs)


@dataclass(frozen=True, eq=False)
class Folded:
    """Derivations for a notebook. Each derivation is folded under its name until a reader opens it."""

    derivations: tuple[Derivation, ...]

    def _repr_markdown_(self) -> str:
        return "\n\n".join(
            f"<details><summary>{derivation.name}</summary>\n\n{derivation._repr_markdown_()}\n\n</details>"
            for derivation in self.derivations
        )


def folded() -> Folded:
    """All ten derivations in full, folded for a notebook."""
    return Folded(tuple(derive(name) for name in FAMILIES))


def table() -> pd.DataFrame:
    """All ten regularizers: one row per regularizer, one column per statement, the cell as in `Proof.verdict`.

    "0" and "limit" mean proved, "fails" means refuted.
    """
    rows = {name: {proof.name: proof.verdict for proof in derive(name).proofs} for name in FAMILIES}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("regularizer")


def formulas() -> pd.DataFrame:
    """All ten regularizers: penalty, weight, latent loss, F(infinity), largest |F''|, as LaTeX between dollar signs."""
    rows = {
        name: {
            "g(v)": family.penalty,
            "v*(l)": family.weight,
            "F(l)": family.latent,
            "F(inf)": family.limit,
            "max |F''|": family.curvature,
        }
        for name, family in FAMILIES.items()
    }
    shown = {name: {key: f"${sp.latex(formula)}$" for key, formula in row.items()} for name, row in rows.items()}
    return pd.DataFrame.from_dict(shown, orient="index").rename_axis("regularizer")


def weight(name: Regularizer | str, losses: Array, lam: float) -> Array:
    """The weights v*(l; lambda) from the symbolic form, in float64, with the shape of `losses`.

    Raises:
        ConfigError: unknown name, lambda outside its domain, a loss that is negative or NaN.
    """
    return _evaluate(name, "weight", _inside("loss", losses, inf), lam)


def latent(name: Regularizer | str, losses: Array, lam: float) -> Array:
    """The latent losses F(l; lambda) from the symbolic form, in float64, with the shape of `losses`."""
    return _evaluate(name, "latent", _inside("loss", losses, inf), lam)


def penalty(name: Regularizer | str, weights: Array, lam: float) -> Array:
    """The penalties g(v; lambda) from the symbolic form, in float64, with the shape of `weights` (in [0, 1])."""
    return _evaluate(name, "penalty", _inside("weight", weights, 1), lam)


def curvature(name: Regularizer | str, lam: float) -> float:
    """The largest |F''(l; lambda)| over l.

    It is infinite for hard (F' jumps) and for polynomial with nu > 2 (F' has a vertical tangent).
    """
    return float(_evaluate(name, "curvature", np.zeros(()), lam))


def _evaluate(name: Regularizer | str, field: str, argument: Array, lam: float) -> Array:
    reg = validate.known(name)
    lam = validate.pace(reg, lam)
    shape = {families.nu: getattr(reg, "t", None), families.psi: getattr(reg, "ratio", None)}
    family = FAMILIES[reg.name]
    values = [shape[symbol] for symbol in family.parameters]
    with np.errstate(all="ignore"):  # numpy evaluates every branch of a Piecewise, also outside its interval
        result = _function(family.name, field)(argument, lam, *values)
    return np.broadcast_to(np.asarray(result, dtype=np.float64), argument.shape).copy()


def _inside(name: str, values: Array, most: float) -> Array:
    plain = np.asarray(values)
    if plain.dtype.kind not in "fiu":
        validate.refuse(f"the dtype of {name}", str(plain.dtype), "a real number's")
    array = plain.astype(np.float64)
    outside = array[~((array >= 0) & (array <= most))]
    if outside.size:
        validate.refuse(name, float(outside[0]), f"in [0, {most:g}]")
    return array


@cache
def _function(name: str, field: str) -> Callable[..., Array]:
    family = FAMILIES[name]
    return sp.lambdify(
        (families.v if field == "penalty" else families.l, families.lam, *family.parameters),
        getattr(family, field),
        "numpy",
    )
