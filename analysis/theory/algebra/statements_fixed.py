"""T1 to T3: majorize and minimise on a fixed sample at fixed lambda. Each function returns a Theorem.

Symbols: l and l' are the losses of a sample before and after a step, u is a running variable of an integral. F is an
undefined function, so the algebra covers every regularizer.
"""

import sympy as sp

from analysis.theory.algebra.families import Formula
from analysis.theory.algebra.proof import identity
from analysis.theory.algebra.theorem import Theorem, needs

_before, _after, _u = sp.symbols("ell ell' u", positive=True)
_F = sp.Function("F")
_eta, _L, _square = sp.symbols("eta L |grad|^2", positive=True)


def fallen_slopes() -> Formula:
    """The integral of F'(l) - F'(u) over u from l to l'."""
    between = (_u, _before, _after)
    return sp.integrate(_slope(_before), between) - sp.Integral(sp.diff(_F(_u), _u), between).doit()


def quadratic_model() -> Formula:
    """The quadratic bound on the change of Q by a step of length eta: (-eta + L eta^2 / 2) |grad Phi|^2."""
    return -_eta * _square + _L * _eta**2 * _square / 2


def _tangent_gap() -> Formula:
    """F(l) + F'(l) (l' - l) - F(l')."""
    return _F(_before) + _slope(_before) * (_after - _before) - _F(_after)


def _slope(at: Formula) -> Formula:
    return sp.diff(_F(_u), _u).subs(_u, at)


def t1() -> Theorem:
    """T1: majorization."""
    theta, start = sp.symbols("theta theta_k")
    loss = sp.Function("ell")
    tangent = _F(loss(start)) + sp.diff(_F(_u), _u).subs(_u, loss(start)) * (loss(theta) - loss(start))
    difference = (sp.diff(tangent, theta) - sp.diff(_F(loss(theta)), theta)).subs(theta, start).doit()
    return Theorem(
        "T1",
        "majorization",
        r"Q(\theta \mid \theta_k) \ge \Phi(\theta),\quad Q(\theta_k \mid \theta_k) = \Phi(\theta_k),\quad "
        r"\nabla Q(\theta_k \mid \theta_k) = \nabla \Phi(\theta_k)",
        (
            needs("$F$ is concave and continuous on $[0, \\infty)$", "convex F"),
            needs(r"$v_i$ is a supergradient of $F$ at $\ell_i(\theta_k)$", "slopes 1.1 v: not tangent"),
            needs(r"for the gradients: $\ell_i$ and $F$ are differentiable there", "hard is stuck"),
        ),
        r"By Fenchel's equality, proved for each regularizer, $v_i \ell + g(v_i)$ is the line "
        r"$F(\ell_i(\theta_k)) + v_i\,(\ell - \ell_i(\theta_k))$. A supergradient is the slope of a line that touches "
        r"$F$ and lies nowhere below it, so $Q \ge \Phi$ holds loss by loss, and $\ell_i$ may be any function of "
        r"$\theta$. Where $F$ is differentiable its only supergradient is $v^* = F'$, and the gap is the integral "
        r"below: a concave function that is continuous on $[0, \infty)$ is the integral of its slope, and "
        r"$F'(\ell) - F'(u)$ is nonnegative for $u \ge \ell$ and nonpositive before $\ell$, so the integral is "
        r"nonnegative for $\ell'$ on either side of $\ell$.",
        (
            identity(
                "tangent gap",
                "The gap is an integral of slopes that have fallen.",
                _tangent_gap(),
                fallen_slopes(),
                latex=r"F(\ell) + F'(\ell)(\ell'-\ell) - F(\ell') = \int_\ell^{\ell'} \left[F'(\ell) - F'(u)\right] du",
            ),
            identity(
                "same slope",
                r"The tangent has the value and the slope in $\theta$ of $F(\ell(\theta))$.",
                difference,
                latex=r"\frac{d}{d\theta}\Big[F(\ell_k) + F'(\ell_k)(\ell(\theta)-\ell_k) - "
                r"F(\ell(\theta))\Big]_{\theta_k} = 0",
                reason=r"Here $\theta$ is one coordinate. The gradient consists of the slopes in all coordinates, and "
                r"the "
                "chain rule is the same in each.",
            ),
        ),
        "Hunter and Lange (2004); Geman and Reynolds (1992); Black and Rangarajan (1996); Meng, Zhao and Jiang (2017)",
        notebook="04",
    )


def t2() -> Theorem:
    """T2: exact identity and sandwich."""
    weight, later = sp.symbols("v v'")
    descent = weight * _before - weight * _after
    bregman = _F(_before) + weight * (_after - _before) - _F(_after)
    back = _F(_after) + later * (_before - _after) - _F(_before)
    return Theorem(
        "T2",
        "exact identity and sandwich",
        r"\Phi_k - \Phi_{k+1} = \left[Q(\theta_k|\theta_k) - Q(\theta_{k+1}|\theta_k)\right] + \tfrac1n\sum_i "
        r"D_i,\quad "
        r"0 \le D_i \le |v_i' - v_i|\,|\ell_i' - \ell_i|",
        (
            needs("$F$ is concave", "convex F"),
            needs(
                r"$v_i$ and $v_i'$ are supergradients of $F$ at the losses $\ell_i$ and $\ell_i'$ before and after",
                "weights drawn towards 1/2",
            ),
        ),
        r"The identity is algebra, loss by loss; $R$ cancels. $D \ge 0$ is T1, and so is $D' \ge 0$ for the way back. "
        r"The two add up to $(v - v')(\ell' - \ell)$, which gives the upper bound; no derivative of $F$ is needed. As "
        r"$0 \le v^* \le 1$, the bound is at most $|\Delta\ell|$; where $v^*$ is Lipschitz in $\ell$ it is of second "
        r"order in $\Delta\ell$. It is attained in the limit: from $\ell = 0$ to $\ell' \to \infty$, "
        r"$D / (|\Delta v|\,\ell')$ tends to 1. Hence $\Phi_{k+1} \le Q(\theta_{k+1}) \le Q(\theta_k) = \Phi_k$ "
        r"whenever $Q$ does not rise: that "
        r"is "
        "sufficient, and not necessary.",
        (
            identity(
                "identity",
                "Descent of $F$ is descent of the surrogate plus the Bregman part.",
                _F(_before) - _F(_after),
                descent + bregman,
                latex=r"F(\ell) - F(\ell') = \left[v \ell - v \ell'\right] + "
                r"\left[F(\ell) + v(\ell'-\ell) - F(\ell')\right]",
            ),
            identity(
                "there and back",
                "The Bregman parts of a move and of its way back.",
                bregman + back,
                (weight - later) * (_after - _before),
                latex=r"D + D' = \left[F(\ell) + v(\ell'-\ell) - F(\ell')\right] + "
                r"\left[F(\ell') + v'(\ell-\ell') - F(\ell)\right] = (v - v')(\ell' - \ell)",
            ),
        ),
        "Hunter and Lange (2004)",
        notebook="04",
    )


def t3() -> Theorem:
    """T3: inexact inner step."""
    model = quadratic_model()
    best = sp.solve(sp.diff(model, _eta), _eta)[0]
    q = sp.Function("q")
    beyond_linear = q(_eta) - q(0) - _eta * sp.diff(q(_u), _u).subs(_u, 0)
    remainder = sp.Integral((_eta - _u) * sp.diff(q(_u), _u, 2), (_u, 0, _eta))
    return Theorem(
        "T3",
        "inexact inner step",
        r"\Phi(\theta_k - \eta \nabla\Phi) \le \Phi(\theta_k) - \eta\left(1 - \tfrac{L\eta}{2}\right) "
        r"\|\nabla\Phi(\theta_k)\|^2",
        (
            needs("the hypotheses of T1", "convex F"),
            needs(
                r"$Q(\theta) \le Q(\theta_k) + \langle\nabla Q(\theta_k), \theta - \theta_k\rangle + "
                r"\tfrac L2 \|\theta - \theta_k\|^2$ on the segment of the step, for $Q = Q(\cdot \mid \theta_k)$",
                "L half as large",
            ),
            needs(r"for descent: $0 < \eta < 2 / L$", "step too large"),
            needs(r"$R$ is part of $\Phi$", "weight decay rises"),
        ),
        r"As $\nabla Q = \nabla\Phi$ at $\theta_k$, the second hypothesis bounds $Q$ after the step by the quadratic "
        r"below, and T1 says $\Phi \le Q$. Only the upper curvature of $Q$ enters: the "
        r"bend of $F$ helps. For losses with two continuous derivatives a curvature of at most $L$ on the segment "
        r"suffices, by Taylor's remainder; $L = \frac1n\sum v_i L_i + L_R$ will do for $L_i$-smooth losses. The bound "
        r"is attained by one "
        "quadratic loss of weight 1.",
        (
            identity(
                "quadratic bound",
                r"The quadratic bound after a step of length $\eta$ along the gradient.",
                model,
                -_eta * (1 - _L * _eta / 2) * _square,
                latex=r"-\eta \|\nabla\Phi\|^2 + \tfrac{L}{2}\,\eta^2 \|\nabla\Phi\|^2 = "
                r"-\eta\left(1 - \tfrac{L\eta}{2}\right) \|\nabla\Phi\|^2",
            ),
            identity(
                "Taylor's remainder",
                r"With $q(u) = Q(\theta_k - u\,\nabla\Phi)$, $q'(0) = -\|\nabla\Phi\|^2$ and "
                r"$q'' \le L \|\nabla\Phi\|^2$ the integral is at most $\tfrac L2 \eta^2 \|\nabla\Phi\|^2$.",
                sp.diff(beyond_linear, _eta),
                sp.diff(remainder, _eta).doit(),
                latex=r"q(\eta) - q(0) - \eta\,q'(0) = \int_0^\eta (\eta - u)\,q''(u)\,du",
                reason=r"Both sides are 0 at $\eta = 0$, and they have the same derivative in $\eta$.",
            ),
            identity(
                "best step",
                r"The bound is lowest at $\eta = 1/L$.",
                model.subs(_eta, best),
                -_square / (2 * _L),
                latex=r"\min_\eta\left[-\eta\left(1 - \tfrac{L\eta}{2}\right) \|\nabla\Phi\|^2\right] = "
                r"-\frac{\|\nabla\Phi\|^2}{2L}",
            ),
        ),
        "The descent lemma; Hunter and Lange (2004)",
        notebook="05",
    )
