"""The ten regularizers as sympy data with symbolic lambda: penalty, weight and latent loss.

Weight and latent loss are given piece by piece. This module proves nothing; `analysis.theory.algebra.derivations`
proves that penalty, weight and latent loss belong together. The symbols, all positive:

    l     the loss of a sample         v     the weight of the sample       lambda   the pace
    nu    the shape of Polynomial    psi   the shape of Mixture
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sympy as sp

l, lam, v, nu, psi = sp.symbols("ell lambda v nu psi", positive=True)  # noqa: E741
w, u, q, xi = sp.symbols("w u q xi", positive=True)  # only for charts

Formula = Any  # a sympy expression; sympy's own type hints vary between Expr, Basic, bool and int
Chart = tuple[Mapping[Any, Any], ...]  # substitutions, applied one after the other


@dataclass(frozen=True)
class Piece:
    """An interval low <= l < high on which weight and latent loss each have a single formula."""

    low: sp.Expr
    high: sp.Expr
    weight: sp.Expr
    latent: sp.Expr

    @property
    def flat(self) -> bool:
        """Whether the weight is constant on the piece, 0 or 1: the minimum over v lies on the edge of [0, 1]."""
        return self.weight.is_number is True


@dataclass(frozen=True, eq=False)
class Family:
    """One regularizer.

    name: the name in `cudfkd.regularizers`.
    penalty: g(v; lambda), with g(1) = 0.
    pieces: the pieces in order of l; together they cover [0, infinity).
    limit: F(infinity; lambda).
    curvature: the largest |F''|; infinite where F' jumps or has a vertical tangent.
    steepest: the loss at which |F''| is largest.
    at_zero: the limit of v* as lambda -> 0, for fixed l > 0.
    at_top: the limit of v* as lambda -> top.
    top: the upper end of lambda's domain.
    chart: the chart of the piece that is not flat, for identities.
    signs: the chart of the piece that is not flat, for signs.
    v_signs: the chart of 0 < v < 1, for signs.
    parameters: the symbols of the shape parameters.
    """

    name: str
    penalty: sp.Expr
    pieces: tuple[Piece, ...]
    limit: sp.Expr
    curvature: sp.Expr
    steepest: sp.Expr
    at_zero: sp.Expr = sp.S.Zero
    at_top: sp.Expr = sp.S.One
    top: sp.Expr = sp.oo
    chart: Chart = ()
    signs: Chart = ()
    v_signs: Chart = ({v: 1 / (1 + w)},)
    parameters: tuple[sp.Symbol, ...] = field(default=())

    @property
    def between(self) -> Piece | None:
        """The piece on which 0 < v* < 1 solves l + g'(v) = 0; None for hard, which has only flat pieces."""
        return next((piece for piece in self.pieces if not piece.flat), None)

    @property
    def weight(self) -> sp.Expr:
        """The weight v*(l; lambda) for all l >= 0."""
        return _joined(self.pieces, [piece.weight for piece in self.pieces])

    @property
    def latent(self) -> sp.Expr:
        """The latent loss F(l; lambda) for all l >= 0."""
        return _joined(self.pieces, [piece.latent for piece in self.pieces])


def _joined(pieces: tuple[Piece, ...], formulas: list[sp.Expr]) -> sp.Expr:
    if len(pieces) == 1:
        return formulas[0]
    conditions = [l < piece.high for piece in pieces[:-1]] + [True]
    return sp.Piecewise(*zip(formulas, conditions, strict=True))


def _hard() -> Family:
    pieces = (Piece(sp.S.Zero, lam, sp.S.One, l), Piece(lam, sp.oo, sp.S.Zero, lam))
    return Family("hard", lam * (1 - v), pieces, limit=lam, curvature=sp.oo, steepest=lam)


def _linear() -> Family:
    pieces = (
        Piece(sp.S.Zero, lam, 1 - l / lam, l - l**2 / (2 * lam)),
        Piece(lam, sp.oo, sp.S.Zero, lam / 2),
    )
    below = ({l: lam / (1 + w)},)
    return Family(
        "linear", lam * (1 - v) ** 2 / 2, pieces, lam / 2, curvature=1 / lam, steepest=sp.S.Zero, signs=below
    )  # fmt: skip


def _log() -> Family:
    total, mu = 1 + sp.exp(-lam), 1 + sp.exp(-lam) - v
    latent = total * sp.log(total / (sp.exp(-l) + sp.exp(-lam)))
    penalty = mu * sp.log(mu) + v * sp.log(v) + lam * mu
    pieces = (Piece(sp.S.Zero, sp.oo, total / (1 + sp.exp(l - lam)), latent),)
    return Family(
        "log",
        penalty,
        pieces,
        limit=total * sp.log(1 + sp.exp(lam)),
        curvature=total / 4,
        steepest=lam,
        at_zero=2 / (1 + sp.exp(l)),
        chart=({l: sp.log(u)}, {lam: sp.log(w)}),
        signs=({l: sp.log(1 + w)},),
    )


def _polynomial() -> Family:
    share = (nu - 1) / nu
    pieces = (
        Piece(sp.S.Zero, lam, (1 - l / lam) ** (1 / (nu - 1)), lam * share * (1 - (1 - l / lam) ** (nu / (nu - 1)))),
        Piece(lam, sp.oo, sp.S.Zero, lam * share),
    )
    root: Chart = ({nu: 1 + 1 / q}, {l: lam * (1 - u)})  # v* = u^q with q = 1 / (nu - 1)
    return Family(
        "polynomial",
        lam * (v**nu / nu - v + 1 - 1 / nu),
        pieces,
        limit=lam * share,
        curvature=sp.Piecewise((1 / (lam * (nu - 1)), nu <= 2), (sp.oo, True)),
        steepest=sp.Piecewise((0, nu <= 2), (lam, True)),
        chart=root,
        signs=(*root, {u: 1 / (1 + w)}),
        v_signs=({nu: 1 + 1 / q},),
        parameters=(nu,),
    )


def _mixture() -> Family:
    low, z = psi * lam, psi * lam / (1 - psi)
    pieces = (
        Piece(sp.S.Zero, low, sp.S.One, l),
        Piece(low, lam, z / l - z / lam, low + z * sp.log(l / low) - z * (l - low) / lam),
        Piece(lam, sp.oo, sp.S.Zero, z * sp.log(1 / psi)),
    )
    ratio = {psi: 1 / (1 + u)}
    return Family(
        "mixture",
        z * sp.log((1 + z / lam) / (v + z / lam)),
        pieces,
        limit=z * sp.log(1 / psi),
        curvature=1 / (psi * (1 - psi) * lam),
        steepest=low,
        chart=(ratio,),
        signs=({l: lam * (psi + w) / (1 + w)}, ratio),
        v_signs=({v: 1 / (1 + w)}, ratio),
        parameters=(psi,),
    )


def _jiang_log() -> Family:
    z = 1 - lam
    entropy = (l + z) * sp.log(l + z) - (l + z) - z * sp.log(z) + z
    pieces = (
        Piece(sp.S.Zero, lam, sp.log(l + z) / sp.log(z), entropy / sp.log(z)),
        Piece(lam, sp.oo, sp.S.Zero, (z - 1 - z * sp.log(z)) / sp.log(z)),
    )
    pace, loss = {lam: 1 - sp.exp(-u)}, {l: sp.exp(-q) - sp.exp(-u)}  # v* = q / u, 0 < q < u
    return Family(
        "jiang-log",
        z * (v - 1) + z * (1 - z ** (v - 1)) / sp.log(z),
        pieces,
        limit=(z - 1 - z * sp.log(z)) / sp.log(z),
        curvature=-1 / (z * sp.log(z)),
        steepest=sp.S.Zero,
        at_top=sp.S.Zero,
        top=sp.S.One,
        chart=(loss, pace),
        signs=(loss, pace, {q: u / (1 + w)}),
        v_signs=({v: 1 / (1 + w)}, pace),
    )


def _welsch() -> Family:
    pieces = (Piece(sp.S.Zero, sp.oo, sp.exp(-l / lam), lam * (1 - sp.exp(-l / lam))),)
    penalty, above = lam * (v * sp.log(v) - v + 1), ({l: lam * sp.log(1 + w)},)
    return Family("welsch", penalty, pieces, lam, curvature=1 / lam, steepest=sp.S.Zero, signs=above)


def _cauchy() -> Family:
    pieces = (Piece(sp.S.Zero, sp.oo, lam / (lam + l), lam * sp.log(1 + l / lam)),)
    return Family("cauchy", lam * (v - 1 - sp.log(v)), pieces, sp.oo, curvature=1 / lam, steepest=sp.S.Zero)


def _l1_l2() -> Family:
    latent = 2 * sp.sqrt(lam) * (sp.sqrt(lam + l) - sp.sqrt(lam))
    pieces = (Piece(sp.S.Zero, sp.oo, sp.sqrt(lam / (lam + l)), latent),)
    penalty, above = lam * (1 / v + v - 2), ({l: lam * ((1 + w) ** 2 - 1)},)
    return Family("l1-l2", penalty, pieces, sp.oo, curvature=1 / (2 * lam), steepest=sp.S.Zero, signs=above)


def _huber() -> Family:
    pieces = (
        Piece(sp.S.Zero, lam, sp.S.One, l),
        Piece(lam, sp.oo, sp.sqrt(lam / l), 2 * sp.sqrt(lam * l) - lam),
    )
    above: Chart = ({l: lam * (1 + w)},)
    return Family(
        "huber", lam * (1 / v - 1), pieces, sp.oo, curvature=1 / (2 * lam), steepest=lam, signs=above
    )  # fmt: skip


FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        _hard(), _linear(), _log(), _polynomial(), _mixture(), _jiang_log(), _welsch(), _cauchy(), _l1_l2(), _huber()
    )
}  # fmt: skip
