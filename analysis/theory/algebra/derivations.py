"""The proofs about each regularizer: one function per statement, which takes a Family and returns a Proof.

On a piece where 0 < v* < 1 the statements are equations. Where v* is 0 or 1 they are checked at that constant. At a
joint of the two kinds of piece v* is continuous: l + g'(v) changes sign at the joint (`edges`), and g' is strictly
increasing.
"""

import sympy as sp

from analysis.theory.algebra.families import Chart, Family, Formula, Piece, l, lam, nu, q, u, v, xi
from analysis.theory.algebra.proof import (
    Proof,
    by_hand,
    equation,
    identities,
    identity,
    limits,
    nonnegative,
    reduce,
    refuted,
    told,
)


def stationarity(family: Family) -> Proof:
    """The slope of v l + g(v) in v is 0 at v = v*, where 0 < v* < 1."""
    name, statement = "stationarity", r"At the weight the slope of $v\,\ell + g(v)$ in $v$ is 0."
    piece = family.between
    if piece is None:
        linear = r"$v\,\ell + g(v)$ is linear in $v$: the sign of its slope decides between 0 and 1."
        latex = r"\frac{d}{dv}\left[v\,\ell + g(v)\right] = \ell - \lambda"
        return identity(name, linear, sp.diff(l * v + family.penalty, v), l - lam, (), latex)
    derivative = l + sp.diff(family.penalty, v).subs(v, piece.weight)
    latex = rf"\ell + g'(v^*) = {sp.latex(derivative)} = 0"
    return identity(name, statement, derivative, 0, family.chart, latex)


def edges(family: Family) -> Proof:
    """Where v* is 0 or 1, the slope of v l + g(v) points out of [0, 1]; if no piece is flat, v* < 1."""
    name = "edges"
    flat = [piece for piece in family.pieces if piece.flat]
    statement = (
        r"Where $v^*$ is 0 or 1 the slope of $v\,\ell + g(v)$ points out of $[0, 1]$: it changes sign at the joint."
    )
    if not flat:
        inside = "$v^*$ stays below 1 (and is positive by its form): the minimum never lies on an edge."
        return nonnegative(name, inside, "1 - v^*", 1 - family.pieces[0].weight, family.signs)
    derivative = sp.powsimp(sp.diff(_shaped(family), v))
    pairs = [
        (l + derivative.subs(v, piece.weight), l - (piece.high if piece.weight == 1 else piece.low)) for piece in flat
    ]
    return identities(name, statement, pairs, family.chart, r"\ell + g'(v^*)")


def convex_penalty(family: Family) -> Proof:
    """g is convex: g'' >= 0."""
    statement = "$g$ is convex, so the stationary point is the minimum."
    return nonnegative("convex penalty", statement, "g''(v)", sp.diff(family.penalty, v, 2), family.v_signs)


def integral(family: Family) -> Proof:
    """F is the integral of v* from 0 to l, piece after piece."""
    pairs, so_far = [], sp.S.Zero
    for piece in family.pieces:
        grown = so_far + _antiderivative(piece, family, l) - _antiderivative(piece, family, piece.low)
        pairs.append((grown, piece.latent))
        so_far = piece.latent.subs(l, piece.high) if piece.high != sp.oo else so_far
    statement = (
        r"$F$ is the integral of the weight from 0 to $\ell$, piece after piece; so $F(0) = 0$, and $F$ is continuous."
    )
    return identities("integral", statement, pairs, family.chart, r"\int_0^{\ell} v^*")


def _antiderivative(piece: Piece, family: Family, at: Formula) -> Formula:
    if family.name != "polynomial" or piece.flat:
        constant, factor = piece.weight.as_independent(l, as_Add=False)
        return (constant * sp.integrate(factor, l)).subs(l, at)  # with 1 / ln z left in, sympy 1.14 loses a term
    # l = lambda (1 - u), because sympy has no antiderivative at symbolic nu
    return -lam * sp.integrate(u ** (1 / (nu - 1)), u).subs(u, 1 - at / lam)


def slope(family: Family) -> Proof:
    """F' = v* on every piece."""
    pairs = [(sp.diff(piece.latent, l), piece.weight) for piece in family.pieces]
    return identities("slope", "The slope of $F$ is the weight.", pairs, family.chart, "F'")


def fenchel(family: Family) -> Proof:
    """Fenchel's equality: v* l + g(v*) = F on every piece."""
    pairs = [(piece.weight * l + _penalty_at(family, piece.weight), piece.latent) for piece in family.pieces]
    return identities("Fenchel", "At the weight the minimum is $F$.", pairs, family.chart, r"v^*\ell + g(v^*)")


def _penalty_at(family: Family, weight: Formula) -> Formula:
    if weight == 0:  # v ln v and v^nu need the limit
        return sp.limit(_shaped(family), v, 0, "+")
    return family.penalty.subs(v, weight)


def _shaped(family: Family) -> Formula:
    """The penalty with the shape parameter in the chart's symbol: v^(1 + 1/q) has a limit at 0 where v^nu has none."""
    return family.penalty.subs(family.chart[0]) if family.parameters else family.penalty


def conjugate(family: Family) -> Proof:
    """g is the conjugate of F: the sup over l of F(l) - v l is g(v)."""
    name = "conjugate"
    statement = r"$g$ is the conjugate of $F$: the sup over $\ell$ of $F(\ell) - v\,\ell$ is taken where $F' = v$."
    piece = family.between
    if piece is None:
        low, high = family.pieces
        gain = low.latent.subs(l, low.high) - v * low.high
        note = r"$F(\ell) - v\,\ell$ rises with slope $1 - v$ up to $\lambda$ and falls with slope $-v$ after it."
        latex = rf"F(\lambda) - v \lambda = {equation(gain, family.penalty)} = g(v)"
        return identity(name, statement, gain, family.penalty, (), latex, note)
    inverse = -sp.diff(family.penalty, v)
    highest = piece.latent.subs(l, inverse) - v * inverse
    note = rf"The sup is at $\ell = -g'(v) = {sp.latex(sp.simplify(inverse))}$."
    latex = rf"\sup_\ell\left[F(\ell) - v \ell\right] = {equation(highest, family.penalty)} = g(v)"
    return identity(name, statement, highest, family.penalty, _shape_chart(family), latex, note)


def _shape_chart(family: Family) -> Chart:
    """The substitutions of the chart that leave l alone."""
    return tuple(substitution for substitution in family.chart if l not in substitution)


def limits_in_loss(family: Family) -> Proof:
    """The limits of v* and F at l = 0 and as l -> infinity."""
    first, last = family.pieces[0], family.pieces[-1]
    cases = [
        (r"v^*(0)", lambda: sp.limit(first.weight, l, 0, "+"), sp.S.One),
        (r"F(0)", lambda: sp.limit(first.latent, l, 0, "+"), sp.S.Zero),
        (r"v^*(\infty)", lambda: sp.limit(last.weight, l, sp.oo), sp.S.Zero),
        (r"F(\infty)", lambda: sp.limit(last.latent, l, sp.oo), family.limit),
    ]
    return limits("limits in l", "The weight falls from 1 to 0; $F(\\infty)$ is the largest cost of one sample.", cases)


def limits_in_lambda(family: Family) -> Proof:
    """The limits of v* and F at both ends of lambda's domain."""
    first, last = family.pieces[0], family.pieces[-1]
    start, end = (rf"\lim_{{\lambda \to {sp.latex(at)}}}" for at in (0, family.top))
    cases = [
        (start + " v^*", lambda: sp.limit(last.weight, lam, 0, "+"), family.at_zero),
        (end + " v^*", lambda: sp.limit(first.weight, lam, family.top, "-"), family.at_top),
        (start + " F", lambda: sp.limit(last.latent, lam, 0, "+"), _area(family.at_zero)),
        (end + " F", lambda: sp.limit(first.latent, lam, family.top, "-"), _area(family.at_top)),
    ]
    statement = r"The weight and the latent loss at the ends of $\lambda$'s domain, for fixed $\ell > 0$."
    reasons = {
        "log": r"The axiom asks for 0 as $\lambda \to 0$; this weight keeps easy samples: the start is never empty.",
        "jiang-log": r"The axiom asks for 1 at the upper end of $\lambda$; this weight falls to 0 there again.",
    }
    return limits("limits in lambda", statement, cases, reasons.get(family.name, ""))


def _area(weight: Formula) -> Formula:
    """The integral of a weight from 0 to l."""
    return sp.integrate(sp.sympify(weight).subs(l, u), (u, 0, l))


def concavity(family: Family) -> Proof:
    """F is concave: F'' <= 0."""
    name, statement = "concavity", r"$F$ is concave: $v^*$ does not grow with $\ell$."
    if family.between is None:
        step = r"F' = 1\ (\ell < \lambda),\quad F' = 0\ (\ell > \lambda)"
        return by_hand(name, statement, step, "$F'$ steps from 1 down to 0.")
    return nonnegative(name, statement, "-F''", -sp.diff(family.between.latent, l, 2), family.signs)


def grows_with_lambda(family: Family) -> Proof:
    """v* does not fall when lambda grows; refuted for jiang-log."""
    name, statement = "grows with lambda", r"$v^*$ does not fall when $\lambda$ grows, so $F$ grows too."
    symbol = r"\partial v^* / \partial \lambda"
    if family.between is None:
        why = r"The set where the weight is 1 grows with $\lambda$."
        return by_hand(name, statement, r"v^* = 1[\ell < \lambda]", why)
    if family.name == "jiang-log":
        at: Formula = family.between.weight.subs(l, sp.Rational(1, 10))
        early, late = at.subs(lam, sp.Rational(4, 5)), at.subs(lam, sp.Rational(99, 100))
        words = "v*(0.1; 0.99) - v*(0.1; 0.8)"
        return refuted(name, statement, sp.latex(sp.diff(family.between.weight, lam)), late - early, words)
    return nonnegative(name, statement, symbol, sp.diff(family.between.weight, lam), family.signs)


def cross_derivative(family: Family) -> Proof:
    """ln v* has increasing differences in l and lambda; refuted for jiang-log."""
    name = "cross derivative"
    statement = (
        r"$\ln v^*$ has increasing differences in $\ell$ and $\lambda$: a growing $\lambda$ favours the harder of two "
        "samples."
    )
    symbol = r"\partial^2 \ln v^* / \partial\ell\,\partial\lambda"
    if family.between is None:
        latex = r"v^*(\ell;\lambda)\,v^*(\ell';\lambda') \ge v^*(\ell';\lambda)\,v^*(\ell;\lambda')"
        why = (
            r"For $\ell < \ell'$ and $\lambda < \lambda'$: the right side is 1 only if $\ell' < \lambda$, and then so "
            "is the left."
        )
        return by_hand(name, statement, latex, why)
    cross = sp.diff(sp.log(family.between.weight), l, lam)
    if family.name == "jiang-log":
        at = {l: sp.Rational(1, 10), lam: sp.Rational(99, 100)}
        words = "its value at l = 0.1, lambda = 0.99"
        note = r"It is negative where $\ell + 1 - \lambda < 1/e$, so T9 fails there."
        return refuted(name, statement, f"{symbol} = {sp.latex(sp.simplify(cross))}", cross.subs(at), words, note)
    flat = any(piece.flat for piece in family.pieces)
    note = r"Across a joint the slope of $\ln v^*$ in $\ell$ only jumps up as $\lambda$ passes." if flat else ""
    return nonnegative(name, statement, symbol, cross, family.signs, note)


def curvature(family: Family) -> Proof:
    """The largest |F''| is `family.curvature`, reached at `family.steepest`."""
    name, statement = "curvature", "The largest $|F''|$: half of it bounds the curvature part of T2."
    latex = rf"\sup_\ell |F''| = {sp.latex(family.curvature)}\quad\text{{at }}\ell = {sp.latex(family.steepest)}"
    if family.between is None:
        return by_hand(
            name, r"$F'$ jumps at $\lambda$: no number bounds $|F''|$.", latex, r"T2's bound is $|\Delta\ell|$ instead."
        )
    bend = -sp.diff(family.between.latent, l, 2)
    if family.name == "log":
        gap = family.curvature * sp.tanh((l - lam) / 2) ** 2
        settled = reduce((family.curvature - bend - gap).rewrite(sp.exp)) == 0 and gap.is_nonnegative is True
        return Proof(name, statement, latex, sp.latex(gap), settled, "sign", "This is the bound minus $|F''|$.")
    if family.name == "polynomial":
        return _curvature_of_polynomial(name, statement, latex, reduce(bend, family.chart))
    start = family.between.low
    attained = reduce(bend.subs(l, start) - family.curvature, family.chart) == 0
    falls = nonnegative(name, statement, "F'''", -sp.diff(bend, l), family.signs)
    why = r"This is $F'''$: $|F''|$ falls with $\ell$, so it is largest where the piece begins."
    return Proof(name, statement, latex, falls.reduced, falls.proved and attained, "sign", why, told(family.signs))


def _curvature_of_polynomial(name: str, statement: str, latex: str, bend: Formula) -> Proof:
    # |F''| = q u^(q - 1) / lambda, u = 1 - l / lambda in (0, 1], q = 1 / (nu - 1)
    rises = reduce(sp.diff(bend, u), ({q: 1 + xi},)).is_nonnegative is True
    first = reduce(bend.subs(u, 1).subs(q, 1 / (nu - 1)) - 1 / (lam * (nu - 1))) == 0
    blows_up = sp.limit(sp.simplify(bend.subs(q, 1 / (1 + xi))), u, 0, "+") == sp.oo
    note = (
        r"This is $|F''|$ in $u = 1 - \ell / \lambda$ and $q = 1 / (\nu - 1)$: for $\nu \le 2$ largest at $u = 1$, for "
        r"$\nu > 2$ unbounded as $u \to 0$."
    )
    return Proof(name, statement, latex, sp.latex(bend), rises and first and blows_up, "sign", note)


IN_ORDER = (
    stationarity, edges, convex_penalty, integral, slope, fenchel, conjugate, limits_in_loss, limits_in_lambda,
    concavity, grows_with_lambda, cross_derivative, curvature,
)  # fmt: skip
