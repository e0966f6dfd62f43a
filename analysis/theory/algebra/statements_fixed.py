"""T1 to T4: majorize and minimise on a fixed sample at fixed lambda. Each function returns a Theorem.

Symbols: a and b are the losses before and after a step, x is a variable loss. F is an undefined function, so the
algebra covers every regularizer.
"""

import sympy as sp

from analysis.theory.algebra.families import Formula
from analysis.theory.algebra.proof import by_hand, identity
from analysis.theory.algebra.theorem import Theorem

_a, _b, _x = sp.symbols("a b x", positive=True)
_F = sp.Function("F")
_eta, _L, _G, _t = sp.symbols("eta L G t", positive=True)


def fallen_slopes() -> Formula:
    """The integral of F'(a) - F'(x) from a to b."""
    return sp.integrate(_slope(_a), (_x, _a, _b)) - sp.Integral(sp.diff(_F(_x), _x), (_x, _a, _b)).doit()


def _tangent_gap() -> Formula:
    """F(a) + F'(a) (b - a) - F(b)."""
    return _F(_a) + _slope(_a) * (_b - _a) - _F(_b)


def _slope(at: Formula) -> Formula:
    return sp.diff(_F(_x), _x).subs(_x, at)


def t1() -> Theorem:
    """T1: majorization."""
    theta, start = sp.symbols("theta theta_k")
    loss = sp.Function("ell")
    tangent = _F(loss(start)) + sp.diff(_F(_x), _x).subs(_x, loss(start)) * (loss(theta) - loss(start))
    difference = (sp.diff(tangent, theta) - sp.diff(_F(loss(theta)), theta)).subs(theta, start).doit()
    weight = sp.Symbol("v")
    alternating = weight * _b + (_F(_a) - weight * _a)
    return Theorem(
        "T1",
        "majorization",
        r"Q(\theta \mid \theta_k) \ge \Phi(\theta),\quad Q(\theta_k \mid \theta_k) = \Phi(\theta_k),\quad "
        r"\nabla Q(\theta_k \mid \theta_k) = \nabla \Phi(\theta_k)",
        (
            "$F$ is concave",
            r"$v_i$ is a supergradient of $F$ at $\ell_i(\theta_k)$",
            r"for the gradients: $\ell_i$ and $F$ are differentiable there",
        ),
        "A tangent of a concave function lies above it: $F'(a) - F'(x)$ is nonnegative for $x \\ge a$ and nonpositive "
        "before $a$, so the integral below is nonnegative for $b$ on either side of $a$. It holds loss by loss, so "
        r"$\ell_i$ may be any function of $\theta$. (At a kink a supergradient $v$ takes the place of $F'(a)$.)",
        (
            identity(
                "tangent gap",
                "The gap is an integral of slopes that have fallen.",
                _tangent_gap(),
                fallen_slopes(),
                latex=r"F(a) + F'(a)(b-a) - F(b) = \int_a^b \left[F'(a) - F'(x)\right] dx",
            ),
            identity(
                "same slope",
                r"The tangent has the value and the slope in $\theta$ of $F(\ell(\theta))$.",
                difference,
                latex=r"\frac{d}{d\theta}\Big[F(\ell_k) + F'(\ell_k)(\ell(\theta)-\ell_k) - "
                r"F(\ell(\theta))\Big]_{\theta_k} = 0",
            ),
            identity(
                "alternating search",
                "With $g(v) = F(a) - v a$ (Fenchel) the weighted loss plus penalty is the tangent of T1.",
                alternating,
                _F(_a) + weight * (_b - _a),
                latex=r"v\,b + g(v) = F(a) + v\,(b - a)",
            ),
        ),
        "Hunter and Lange (2004); Geman and Reynolds (1992); Black and Rangarajan (1996); Meng, Zhao and Jiang (2017)",
        notebook="04",
    )


def t2() -> Theorem:
    """T2: exact identity and sandwich."""
    weight, sup = sp.Symbol("v"), sp.Symbol("M", positive=True)
    descent = weight * _a - weight * _b
    bregman = _F(_a) + weight * (_b - _a) - _F(_b)
    bend = sp.diff(_tangent_gap(), _b, 2)
    parabola = sp.integrate(sup * (_b - _x), (_x, _a, _b))
    return Theorem(
        "T2",
        "exact identity and sandwich",
        r"\Phi_k - \Phi_{k+1} = \left[Q(\theta_k|\theta_k) - Q(\theta_{k+1}|\theta_k)\right] + \tfrac1n\sum_i "
        r"D_i,\quad "
        r"0 \le D_i \le \min\left(\tfrac12 \sup|F''|\,(\Delta \ell_i)^2,\ |\Delta \ell_i|\right)",
        ("$F$ is concave", "for the parabola: $F'$ is Lipschitz (not for hard, nor for polynomial with $t > 2$)"),
        "The identity is algebra, loss by loss; $R$ cancels. $D \\ge 0$ is T1. $D$ and its slope vanish at $b = a$ and "
        "its second derivative is $-F'' \\le M$, so it lies below the parabola; and $D \\le |b - a|$ because "
        "$0 \\le F' \\le 1$. Hence $\\Phi_{k+1} \\le Q(\\theta_{k+1}) \\le Q(\\theta_k) = \\Phi_k$ whenever $Q$ does "
        "not rise: that is sufficient, and not necessary.",
        (
            identity(
                "identity",
                "Descent of $F$ is descent of the surrogate plus the Bregman part.",
                _F(_a) - _F(_b),
                descent + bregman,
                latex=r"F(a) - F(b) = \left[v a - v b\right] + \left[F(a) + v(b-a) - F(b)\right]",
            ),
            identity(
                "curvature",
                "The second derivative of the Bregman part.",
                bend,
                -sp.diff(_F(_b), _b, 2),
                latex=r"\frac{d^2 D}{d b^2} = -F''(b)",
            ),
            identity(
                "parabola",
                "Twice integrated, a bound $M$ on $-F''$ gives the parabola.",
                parabola,
                sup * (_b - _a) ** 2 / 2,
                latex=r"\int_a^b M\,(b - x)\,dx = \tfrac12 M\,(b - a)^2",
            ),
        ),
        "Hunter and Lange (2004)",
        notebook="04",
    )


def t3() -> Theorem:
    """T3: inexact inner step."""
    model = -_eta * _G + _L * _eta**2 * _G / 2
    best = sp.solve(sp.diff(model, _eta), _eta)[0]
    q = sp.Function("q")
    beyond_linear = q(_eta) - q(0) - _eta * sp.diff(q(_t), _t).subs(_t, 0)
    remainder = sp.Integral((_eta - _t) * sp.diff(q(_t), _t, 2), (_t, 0, _eta))
    return Theorem(
        "T3",
        "inexact inner step",
        r"\Phi(\theta_k - \eta \nabla\Phi) \le \Phi(\theta_k) - \eta\left(1 - \tfrac{L\eta}{2}\right) "
        r"\|\nabla\Phi(\theta_k)\|^2",
        (
            "the hypotheses of T1",
            r"$Q(\cdot \mid \theta_k)$ has curvature at most $L$ on the segment of the step",
            r"$0 < \eta < 2 / L$ for descent",
        ),
        r"Let $q(t) = Q(\theta_k - t\,\nabla\Phi \mid \theta_k)$. As the gradients of $Q$ and "
        r"$\Phi$ at $\theta_k$ are equal, $q'(0) = -G$ with $G = \|\nabla\Phi\|^2$, and $q'' \le L G$: Taylor's "
        r"remainder gives the bound for $q(\eta)$, and T1 says $\Phi \le Q$. Only upper "
        r"curvature of $Q$ enters ($L = \frac1n\sum v_i L_i + L_R$ suffices): the bend of $F$ helps.",
        (
            identity(
                "Taylor's remainder",
                r"Both sides are 0 at $\eta = 0$ and have the same derivative in $\eta$.",
                sp.diff(beyond_linear, _eta),
                sp.diff(remainder, _eta).doit(),
                latex=r"q(\eta) - q(0) - \eta\,q'(0) = \int_0^\eta (\eta - t)\,q''(t)\,dt",
            ),
            identity(
                "quadratic bound",
                r"With $q'(0) = -G$ and $q'' \le L G$.",
                -_eta * _G + sp.integrate((_eta - _t) * _L * _G, (_t, 0, _eta)),
                -_eta * (1 - _L * _eta / 2) * _G,
                latex=r"-\eta G + \int_0^\eta (\eta - t)\,L G\,dt = -\eta\left(1 - \tfrac{L\eta}{2}\right) G",
            ),
            identity(
                "best step",
                r"The bound is lowest at $\eta = 1/L$.",
                model.subs(_eta, best),
                -_G / (2 * _L),
                latex=r"\min_\eta\left[-\eta\left(1 - \tfrac{L\eta}{2}\right) G\right] = -\frac{G}{2L}",
            ),
        ),
        "The descent lemma; Hunter and Lange (2004)",
        notebook="05",
    )


def t4() -> Theorem:
    """T4: rate."""
    phi = sp.Function("Phi")
    k, count = sp.Symbol("k", integer=True), sp.Symbol("K", integer=True, positive=True)
    total = sp.summation(phi(k) - phi(k + 1), (k, 0, count - 1))
    return Theorem(
        "T4",
        "rate",
        r"\min_{k<K} \|\nabla\Phi(\theta_k)\|^2 \le \frac{\Phi_0 - \Phi_K}{c \sum_{k<K} \eta_k}",
        (
            r"each step satisfies $\Phi_{k+1} \le \Phi_k - c\,\eta_k \|\nabla\Phi\|^2$ (Armijo's rule, or T3 with "
            r"$c = 1 - L\eta/2$)",
            r"for $O(1/K)$: $\Phi$ is bounded below and $\inf \eta_k > 0$",
            r"for critical limit points: $v^*$ is continuous (not hard)",
            "for convergence of the whole sequence: bounded iterates and the Kurdyka-Lojasiewicz inequality (cited and "
            "not tested)",
        ),
        "Sum the descent inequality over the steps.",
        (
            identity(
                "telescoping",
                r"The descents add up to what $\Phi$ has lost, for every $K$.",
                total,
                phi(0) - phi(count),
                latex=r"\sum_{k=0}^{K-1}\left(\Phi_k - \Phi_{k+1}\right) = \Phi_0 - \Phi_K",
            ),
            by_hand(
                "smallest gradient",
                "A sum is at least its weights times the smallest term.",
                r"c \Big(\min_{k<K}\|\nabla\Phi_k\|^2\Big) \sum_{k<K} \eta_k \le "
                r"c\sum_{k<K}\eta_k\|\nabla\Phi_k\|^2 \le \Phi_0 - \Phi_K",
                r"As the sum of $\eta_k \|\nabla\Phi_k\|^2$ is finite, its part from $K/2$ to $K$ tends to 0, so with "
                r"$\inf\eta_k > 0$ the minimum is even $o(1/K)$.",
            ),
        ),
        "Absil, Mahony and Andrews (2005); Attouch, Bolte and Svaiter (2013)",
        notebook="05",
    )
