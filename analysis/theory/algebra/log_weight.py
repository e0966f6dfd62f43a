"""Facts about CuDFKD's "log" weight: F is a smooth min(l, lambda), and g must be normalised.

v*(l) = (1 + e^-lambda) / (1 + e^(l - lambda)),     F(l) = (1 + e^-lambda) ln[(1 + e^-lambda) / (e^-l + e^-lambda)]
"""

from functools import cache

import sympy as sp

from analysis.theory.algebra.families import FAMILIES, l, lam, u, v
from analysis.theory.algebra.proof import Proof, identity, limits, nonnegative

_LOG = FAMILIES["log"]
_E = 1 + sp.exp(-lam)
_V, _F = _LOG.weight, _LOG.latent
# E, the raw latent loss: the minimum over v of v l + g(v) with the penalty g of the public code, which lacks
# lambda (1 + e^-lambda)
_RAW = _F - lam * _E
_LOG_LAM = ({lam: sp.log(u)},)
SUPREMUM = (
    r"The derivative in $\lambda$ has a formula, and the limit is taken in this formula: nothing is exchanged. It "
    r"grows with $\ell$, because its slope in $\ell$ is $\partial v^* / \partial\lambda \ge 0$; so the limit is the "
    r"supremum."
)


@cache
def facts() -> tuple[Proof, ...]:
    """The proofs of the statements below, in the order of notebooks 02, 03 and 06."""
    return (
        soft_minimum(), half_weight(), weight_tail(), latent_tail(), growth(), raw_falls(), far_from_the_minimum(),
        through_the_weight(), kept_penalty(),
    )  # fmt: skip


def soft_minimum() -> Proof:
    """Proof of F = (1 + e^-lambda) [softmin(l, lambda) - softmin(0, lambda)].

    softmin(l, lambda) = -ln(e^-l + e^-lambda) lies a little below min(l, lambda).
    """
    right = _E * (_softmin(l, lam) - _softmin(sp.S.Zero, lam))
    return identity(
        "soft minimum", r"$F$ is a smooth minimum of $\ell$ and $\lambda$, shifted to $F(0) = 0$.", _F, right
    )


def half_weight() -> Proof:
    """Proof of v* = 1/2 exactly at l = lambda + ln(1 + 2 e^-lambda). (At l = lambda, v* = (1 + e^-lambda) / 2.)"""
    at = lam + sp.log(1 + 2 * sp.exp(-lam))
    latex = r"v^*\!\left(\lambda + \ln(1 + 2 e^{-\lambda})\right) = \tfrac12"
    return identity("half weight", "The loss of half weight.", _V.subs(l, at), sp.Rational(1, 2), latex=latex)


def weight_tail() -> Proof:
    """Proof of 1 - v*(l) <= e^-lambda (e^l - 1): the rate at which the curriculum disappears as lambda grows (T5')."""
    slack = sp.exp(-lam) * (sp.exp(l) - 1) - (1 - _V)
    symbol = r"e^{-\lambda}(e^{\ell} - 1) - (1 - v^*)"
    return nonnegative("weight tail", r"The missing weight vanishes like $e^{-\lambda}$.", symbol, slack, _LOG.signs)


def latent_tail() -> Proof:
    """Proof of 0 <= l - F(l) <= e^-lambda (e^l - 1 - l), the integral of `weight_tail` from 0 to l."""
    left = sp.integrate(sp.exp(-lam) * (sp.exp(u) - 1), (u, 0, l))
    why = r"Integrating the bound on $1 - v^*$ bounds $\ell - F$."
    latex = r"\ell - F \le \int_0^\ell e^{-\lambda}(e^u - 1)\,du = e^{-\lambda}\left(e^\ell - 1 - \ell\right)"
    statement = r"$F$ approaches $\ell$ like $e^{-\lambda}$."
    return identity("latent tail", statement, left, sp.exp(-lam) * (sp.exp(l) - 1 - l), (), latex, why)


def growth() -> Proof:
    """Proof that sup over l of dF/dlambda is the limit at l = infinity, 1 - e^-lambda ln(1 + e^lambda) < 1."""
    claimed = 1 - sp.exp(-lam) * sp.log(1 + sp.exp(lam))
    latex = r"\sup_\ell \frac{\partial F}{\partial\lambda} = \lim_{\ell \to \infty} \frac{\partial F}{\partial\lambda}"
    statement = r"The fastest growth of $F$ with $\lambda$, for log."
    return limits("growth", statement, [(latex, lambda: _at_infinity(_F), claimed)], SUPREMUM + " It is below 1.")


def raw_falls() -> Proof:
    """Proof that with the raw g the minimum E falls by itself: dE/dlambda <= -e^-lambda [1 + ln(1 + e^-lambda)] < 0."""
    right = -sp.exp(-lam) * (sp.log(1 + sp.exp(-lam)) + 1)
    latex = r"\sup_\ell \frac{\partial E}{\partial\lambda} = \lim_{\ell \to \infty} \frac{\partial E}{\partial\lambda}"
    statement = r"The raw latent loss $E$ falls as $\lambda$ grows, at every loss."
    why = SUPREMUM + " It is below 0: the raw objective falls by itself."
    return limits("raw falls", statement, [(latex, lambda: _at_infinity(_RAW), right)], why)


def far_from_the_minimum() -> Proof:
    """Proof of [lambda - F(lambda)] + [F(inf) - lambda] = (1 + e^-lambda) ln 2.

    The distance of F from the sharp minimum, sup |F - min(l, lambda)|, is the larger bracket.
    """
    below, above = lam - _F.subs(l, lam), _LOG.limit - lam
    why = (
        r"$\ell - F$ grows up to $\ell = \lambda$ and $F$ grows after it, so the distance is largest at "
        r"$\ell = \lambda$ or at $\ell = \infty$. The second bracket falls as $\lambda$ grows (its slope is "
        r"the slope of $F(\infty)$, below 1, minus 1) and is $\ln 2$ at $\lambda = 1.2248$ (a number); it exceeds "
        r"$e^{-\lambda} \ln 2$, so the first bracket is always below $\ln 2$."
    )
    latex = r"\left[\lambda - F(\lambda)\right] + \left[F(\infty) - \lambda\right] = (1 + e^{-\lambda}) \ln 2"
    statement = r"The distance of $F$ from the sharp $\min(\ell, \lambda)$."
    return identity("far from the minimum", statement, below + above, _E * sp.log(2), _LOG_LAM, latex, why)


def through_the_weight() -> Proof:
    """Proof that d/dl [l v*(l)] = v* + l v*' tends to 0 from below: the derivative through v, with g dropped.

    Descent along this derivative raises the losses of hard samples.
    """
    relative = sp.simplify(sp.diff(l * _V, l) / (l * _V))
    latex = r"\lim_{\ell\to\infty}\frac{d(\ell v^*)/d\ell}{\ell\,v^*}"
    statement = "Differentiated through v, the weighted loss of a hard sample falls as its loss grows."
    return limits("through the weight", statement, [(latex, lambda: sp.limit(relative, l, sp.oo), sp.S.NegativeOne)])


def kept_penalty() -> Proof:
    """Proof of d/dl [v*(l) l + g(v*(l))] = v*(l).

    With g kept, the derivative through v changes nothing (envelope theorem).
    """
    kept = sp.diff(_V * l + _LOG.penalty.subs(v, _V), l)
    latex = r"\frac{d}{d\ell}\left[v^*(\ell)\,\ell + g(v^*(\ell))\right] = v^*(\ell)"
    return identity("kept penalty", "With the penalty kept, the derivative is the weight.", kept, _V, _LOG.chart, latex)


def _at_infinity(value: sp.Expr) -> sp.Expr:
    """The limit of d/dlambda of a value as l grows, with u = e^-l: the derivative is continuous in u at u = 0."""
    return sp.expand_log(sp.simplify(sp.diff(value, lam).subs(l, -sp.log(u)).subs(u, 0)))


def _softmin(first: sp.Expr, second: sp.Expr) -> sp.Expr:
    return -sp.log(sp.exp(-first) + sp.exp(-second))
