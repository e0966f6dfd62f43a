"""T1 to T4: majorize and minimise on a fixed sample at fixed lambda. Each function returns a Theorem.

Symbols: a, b the losses before and after a step, x a variable loss; F is undefined, so every regularizer is meant.
"""

import sympy as sp

from analysis.theory.families import Formula
from analysis.theory.proof import identity
from analysis.theory.theorem import Theorem

_a, _b, _x = sp.symbols("a b x", positive=True)
_F = sp.Function("F")
_eta, _L, _G, _S, _beta = sp.symbols("eta L G S beta", positive=True)


def _tangent_gap() -> Formula:
    """F(a) + F'(a) (b - a) - F(b)."""
    return _F(_a) + _slope(_a) * (_b - _a) - _F(_b)


def _slope(at: Formula) -> Formula:
    return sp.diff(_F(_x), _x).subs(_x, at)


def t1() -> Theorem:
    """Majorization."""
    gap = sp.integrate(_slope(_a), (_x, _a, _b)) - sp.Integral(sp.diff(_F(_x), _x), (_x, _a, _b)).doit()
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
        ("F concave", "v_i a supergradient of F at l_i(theta_k)", "for the gradients: l_i and F differentiable there"),
        "A tangent of a concave function lies above it: F'(a) - F'(x) >= 0 for x >= a (and <= 0 before it), so the "
        "integral is nonnegative for b on either side of a. It holds loss by loss, so l_i may be any function of "
        "theta.",
        (
            identity(
                "tangent gap",
                "The gap is an integral of slopes that have fallen.",
                _tangent_gap(),
                gap,
                latex=r"F(a) + F'(a)(b-a) - F(b) = \int_a^b \left[F'(a) - F'(x)\right] dx",
            ),
            identity(
                "same slope",
                "Value and slope of the tangent in theta are those of F(l(theta)).",
                difference,
                latex=r"\frac{d}{d\theta}\Big[F(\ell_k) + F'(\ell_k)(\ell(\theta)-\ell_k) - "
                r"F(\ell(\theta))\Big]_{\theta_k} = 0",
            ),
            identity(
                "alternating search",
                "With g(v) = F(a) - v a (Fenchel) the weighted loss plus penalty is that tangent.",
                alternating,
                _F(_a) + weight * (_b - _a),
                latex=r"v\,b + g(v) = F(a) + v\,(b - a)",
            ),
        ),
        "Hunter and Lange (2004); Geman and Reynolds (1992); Black and Rangarajan (1996); Meng, Zhao and Jiang (2017)",
        notebook="04",
    )


def t2() -> Theorem:
    """Exact identity and sandwich."""
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
        ("F concave", "for the parabola: F' Lipschitz (not hard, not polynomial with t > 2)"),
        "The identity is algebra, loss by loss; R cancels. D >= 0 is T1. D and its slope vanish at b = a and its "
        "second derivative is -F'' <= M, so it lies below the parabola; and D <= |b - a| because 0 <= F' <= 1. "
        "Hence Phi_{k+1} <= Q(theta_{k+1}) <= Q(theta_k) = Phi_k whenever Q does not rise: sufficient, not "
        "necessary.",
        (
            identity(
                "identity",
                "Descent of F is descent of the surrogate plus the Bregman part.",
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
                "Twice integrated, a bound M on -F'' gives the parabola.",
                parabola,
                sup * (_b - _a) ** 2 / 2,
            ),
        ),
        "Hunter and Lange (2004)",
        notebook="04",
    )


def t3() -> Theorem:
    """Inexact inner step."""
    model = -_eta * _G + _L * _eta**2 * _G / 2
    best = sp.solve(sp.diff(model, _eta), _eta)[0]
    return Theorem(
        "T3",
        "inexact inner step",
        r"\Phi(\theta_k - \eta \nabla\Phi) \le \Phi(\theta_k) - \eta\left(1 - \tfrac{L\eta}{2}\right) "
        r"\|\nabla\Phi(\theta_k)\|^2",
        ("T1", "Q(. | theta_k) has curvature at most L on the segment of the step", "0 < eta < 2 / L for descent"),
        "The gradient of Q at theta_k is that of Phi, so the quadratic upper bound of Q along the step bounds Phi "
        "as well. Only upper curvature of Q enters (L = mean v_i L_i + L_R suffices): the bend of F helps.",
        (
            identity(
                "quadratic bound",
                "With G = |grad|^2, the model of Q along the step.",
                model,
                -_eta * (1 - _L * _eta / 2) * _G,
            ),
            identity("best step", "The model is lowest at eta = 1/L.", model.subs(_eta, best), -_G / (2 * _L)),
        ),
        "The descent lemma; Hunter and Lange (2004)",
        notebook="05",
    )


def t4() -> Theorem:
    """Rate."""
    phi = sp.symbols("Phi_0:5")
    total = sum(phi[k] - phi[k + 1] for k in range(4))
    return Theorem(
        "T4",
        "rate",
        r"\min_{k<K} \|\nabla\Phi(\theta_k)\|^2 \le \frac{\Phi_0 - \Phi_K}{c \sum_{k<K} \eta_k}",
        (
            "each step satisfies Phi_{k+1} <= Phi_k - c eta_k |grad Phi|^2 (Armijo, or T3 with c = 1 - L eta / 2)",
            "for O(1/K): Phi bounded below and inf eta_k > 0",
            "for critical limit points: v* continuous (not hard)",
            "for convergence of the whole sequence: bounded iterates and the Kurdyka-Lojasiewicz inequality",
        ),
        "Sum the descent inequality, replace every squared gradient by the smallest. As the sum of squared "
        "gradients is finite, its tail from K/2 to K tends to 0, so the minimum is even o(1/K).",
        (
            identity(
                "telescoping", "The descents add up to what Phi has lost (here K = 4).", sp.Add(total), phi[0] - phi[4]
            ),
        ),
        "Absil, Mahony and Andrews (2005); Attouch, Bolte and Svaiter (2013)",
        notebook="05",
    )
