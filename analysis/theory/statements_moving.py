"""T5 to T9: something moves: lambda, the samples, the batch, the momentum. Each function returns a Theorem.

Symbols as in `analysis.theory.statements_fixed`: a, b the losses before and after a step, x a variable loss.
"""

import sympy as sp

from analysis.theory import log_weight
from analysis.theory.families import Formula
from analysis.theory.proof import identity
from analysis.theory.theorem import Theorem

_a, _b, _x = sp.symbols("a b x", positive=True)
_F = sp.Function("F")
_eta, _L, _G, _S, _beta = sp.symbols("eta L G S beta", positive=True)


def t5() -> Theorem:
    """lambda grows."""
    low, high = sp.Function("F_k"), sp.Function("F_{k+1}")
    total = (low(_a) - low(_b)) - (high(_b) - low(_b))
    slope = sp.diff(high(_x) - low(_x), _x)
    return Theorem(
        "T5",
        "lambda grows",
        r"\Phi_{\lambda_K}(\theta_K) = \Phi_{\lambda_0}(\theta_0) - \sum_k \text{descent}_k + \sum_k \Lambda_k,\quad "
        r"\Lambda_k \ge 0,\quad \sum_k \Lambda_k \le F_{\lambda_K}(M) - F_{\lambda_0}(M) \le M",
        (
            "v* nondecreasing in lambda (not jiang-log)",
            "lambda_k nondecreasing",
            "for the budget: all losses on the path stay <= M",
        ),
        "One step splits exactly into the student's descent at the old lambda and the growth Lambda at the new "
        "student. F_{k+1} - F_k has slope v_{k+1} - v_k >= 0, so it is nonnegative and largest at M; at M the "
        "growths telescope. Phi need not fall; with T4's steps min |grad|^2 <= (Phi_0 + budget) / (c sum eta).",
        (
            identity(
                "one step",
                "Old objective minus new one.",
                low(_a) - high(_b),
                total,
                latex=r"F_k(a) - F_{k+1}(b) = \left[F_k(a) - F_k(b)\right] - \left[F_{k+1}(b) - F_k(b)\right]",
            ),
            identity(
                "growth in the loss",
                "The slope of the growth is the difference of the weights.",
                slope,
                sp.diff(high(_x), _x) - sp.diff(low(_x), _x),
                latex=r"\frac{d}{d\ell}\left[F_{k+1} - F_k\right] = v_{k+1} - v_k \ge 0",
            ),
            log_weight.growth(),
        ),
        "Meng, Zhao and Jiang (2017) for fixed lambda; the budget is ours",
        notebook="06",
    )


def t5_limit() -> Theorem:
    """lambda to infinity."""
    return Theorem(
        "T5'",
        "lambda to infinity",
        r"\Big\|\nabla\Phi_\lambda - \nabla \tfrac1n\sum_i \ell_i\Big\| \le \tfrac1n\sum_i (1 - v_i)\|\nabla "
        r"\ell_i\| "
        r"\le \left(1 - v^*(M;\lambda)\right) G",
        ("v* -> 1 as lambda -> infinity (not jiang-log)", "losses <= M and loss gradients <= G on the path"),
        "The triangle inequality, and 1 - v* is nondecreasing in l. For log the last factor is at most e^-lambda "
        "(e^M - 1). With bounded iterates the limit points are then critical for plain distillation.",
        (log_weight.weight_tail(), log_weight.latent_tail()),
        "Ours; graduated non-convexity (Blake and Zisserman, 1987) runs lambda the other way",
        notebook="06",
    )


def t6() -> Theorem:
    """The generator moves."""
    gap = sp.Integral(sp.diff(_F(_x), _x), (_x, _a, _b)).doit()
    return Theorem(
        "T6",
        "the generator moves",
        r"|\Gamma| = \left|\mathbb{E}_z\left[F(\ell') - F(\ell)\right]\right| \le "
        r"\mathbb{E}_z\left[v^*(\min(\ell, \ell'))\,|\ell' - \ell|\right] \le \mathbb{E}_z|\ell' - \ell|",
        ("F concave with 0 <= F' <= 1", "the same z before and after"),
        "F(l') - F(l) is the integral of F' between the two losses, and F' <= v* at the smaller one. Over all "
        "couplings, |Gamma| <= Lip_x(l) W1(P, P'). Also |Gamma| <= F(infinity) TV(P, P'), which is void for an "
        "unbounded F and, since generators' images are usually mutually singular (TV = 1), nearly always.",
        (
            identity(
                "drift of one sample",
                "Growth of F is the integral of its slope.",
                _F(_b) - _F(_a),
                gap,
                latex=r"F(b) - F(a) = \int_a^b F'(x)\,dx \le F'(a)\,(b - a)",
            ),
        ),
        "Kantorovich duality; ours for the sharper form",
        ("C1", "C3", "C4"),
        notebook="09",
    )


def t7() -> Theorem:
    """Mini-batches."""
    g = sp.symbols("g_1:4")
    mean = sum(g) / 3
    variance: Formula = sum((one - mean) ** 2 for one in g) / 3
    pairs = [(g[i] + g[j]) / 2 for i, j in ((0, 1), (0, 2), (1, 2))]
    without: Formula = sum((pair - mean) ** 2 for pair in pairs) / 3
    model = -_eta * _G + _L * _eta**2 / 2 * (_G + _S)
    threshold = sp.solve(model / _eta, _eta)[0]
    return Theorem(
        "T7",
        "mini-batches",
        r"\mathbb{E}\,\Phi(\theta - \eta g_B) \le \Phi(\theta) - \eta\left(1 - "
        r"\tfrac{L\eta}{2}\right)\|\nabla\Phi\|^2 "
        r"+ \tfrac{L\eta^2}{2}\,\tfrac{\sigma^2}{B}",
        (
            "samples independent given the past (fresh z)",
            "lambda fixed before the batch is drawn",
            "no division by sum v",
            "no layer that couples samples",
            "Q(. | theta) has curvature at most L",
            "second moments finite",
        ),
        "g_B = mean of v_i grad l_i over the batch is unbiased, so the cross terms vanish in the quadratic bound of "
        "Q. Then expected descent is guaranteed for eta < 2G / (L (G + sigma^2/B)); beyond it may or may not hold. "
        "Drawn without replacement from n, sigma^2/B gains the factor (n - B) / (n - 1).",
        (
            identity(
                "quadratic bound",
                "With G = |grad|^2 and S = sigma^2 / B.",
                model,
                -_eta * (1 - _L * _eta / 2) * _G + _L * _eta**2 * _S / 2,
            ),
            identity("threshold", "The bound promises descent below this step.", threshold, 2 * _G / (_L * (_G + _S))),
            identity(
                "without replacement",
                "The variance of a batch of 2 out of 3.",
                without,
                variance / 2 * sp.Rational(3 - 2, 3 - 1),
                latex=r"\operatorname{Var}(g_B) = \frac{\sigma^2}{B}\,\frac{n - B}{n - 1}\quad (n = 3,\ B = 2)",
            ),
        ),
        "Ghadimi and Lan (2013); Bottou, Curtis and Nocedal (2018)",
        notebook="08",
    )


def t8() -> Theorem:
    """Energy of momentum."""
    m, n = sp.symbols("m m'", real=True)  # momentum before and after; one coordinate stands for all
    g = n - _beta * m
    after = -_eta * g * n + _L * _eta**2 * n**2 / 2 + _beta * _eta * n**2 / 2
    claimed = _beta * _eta * m**2 / 2 - _eta * (1 - _beta - _L * _eta / 2) * n**2 - _beta * _eta * (m - n) ** 2 / 2
    gradients = 2 * (n**2 + _beta**2 * m**2) - g**2
    return Theorem(
        "T8",
        "energy of momentum",
        r"H_k = \Phi(\theta_k) + \tfrac{\beta\eta_k}{2}\|m_k\|^2,\quad "
        r"H_{k+1} \le H_k - \eta_k\left(1 - \beta - \tfrac{L\eta_k}{2}\right)\|m_{k+1}\|^2",
        (
            "m_{k+1} = beta m_k + g_k, theta_{k+1} = theta_k - eta_k m_{k+1}, m_0 = 0 (torch's SGD, no dampening, "
            "no Nesterov)",
            "weight decay inside Phi, g_k its full gradient",
            "Q(. | theta_k) has curvature at most L",
            "eta_k nonincreasing and <= 2 (1 - beta) / L",
        ),
        "Put g = m' - beta m into the quadratic bound of Q: what is left over is a square, -beta eta |m - m'|^2 / "
        "2. A smaller eta_{k+1} only lowers H_{k+1}. As |g|^2 <= 2 (|m'|^2 + beta^2 |m|^2), squared gradients sum "
        "to at most 2 (1 + beta^2) (Phi_0 - inf Phi) / [eta (1 - beta - L eta / 2)] at constant eta.",
        (
            identity("energy", "Change of Phi (bounded by Q) plus new kinetic term.", after, claimed),
            identity("gradients", "The bound on the gradient is a square.", gradients, (n + _beta * m) ** 2),
        ),
        "Zavriev and Kostyuk (1993); Ochs, Chen, Brox and Pock (2014, iPiano)",
        notebook="05",
    )


def t9() -> Theorem:
    """The curriculum as a distribution."""
    pace = sp.Symbol("lambda", positive=True)
    prior, losses = sp.symbols("p_1:4", positive=True), sp.symbols("ell_1:4", positive=True)
    weights = [sp.Function(f"v_{i}", positive=True)(pace) for i in (1, 2, 3)]
    alpha = sum(p * v for p, v in zip(prior, weights, strict=True))
    q = [p * v / alpha for p, v in zip(prior, weights, strict=True)]
    score = [sp.diff(sp.log(v), pace) for v in weights]
    expected = sum(a * b for a, b in zip(q, losses, strict=True))
    divergence = sum(a * sp.log(v / alpha) for a, v in zip(q, weights, strict=True))
    ess: Formula = alpha**2 / sum(p * v**2 for p, v in zip(prior, weights, strict=True))
    chi2 = sum(a**2 / p for a, p in zip(q, prior, strict=True)) - 1
    return Theorem(
        "T9",
        "the curriculum as a distribution",
        r"Q_\lambda = v^* P / \alpha:\quad \alpha \uparrow,\quad \mathbb{E}_{Q_\lambda}\ell \uparrow,\quad "
        r"D_f(Q_\lambda \| P) \downarrow,\quad H(Q_\lambda) \uparrow \text{ for uniform } P",
        (
            "ln v* has increasing differences in l and lambda (not jiang-log)",
            "v* nonincreasing in l, v*(0) = 1",
            "alpha(lambda) > 0: some sample has weight",
            "theta and P fixed",
            "for H: P uniform on finitely many points",
        ),
        "r = v/alpha at the smaller lambda and r' at the larger cross once, r above r' at small losses, and r' does "
        "not grow with l; so E[phi(r) - phi(r')] >= E[(phi'(r') - phi'(r'(l*))) (r - r')] >= 0 for convex phi. In "
        "derivatives: with s = d ln v / dlambda nondecreasing in l, both covariances below have their sign by "
        "Chebyshev's inequality. For uniform P, H = ln n - KL. alpha grows because v*(0) = 1 and increasing "
        "differences make v* grow with lambda.",
        (
            identity(
                "mean loss",
                "Its slope is a covariance (three samples).",
                sp.diff(expected, pace),
                _covariance(q, losses, score),
                latex=r"\frac{d}{d\lambda}\mathbb{E}_Q\ell = \operatorname{Cov}_Q(\ell, s) \ge 0,\quad s = "
                r"\partial_\lambda \ln v^*",
            ),
            identity(
                "divergence",
                "So is that of KL(Q || P).",
                sp.diff(divergence, pace),
                _covariance(q, [sp.log(v) for v in weights], score),
                latex=r"\frac{d}{d\lambda}\mathrm{KL}(Q\|P) = \operatorname{Cov}_Q(\ln v^*, s) \le 0",
            ),
            identity(
                "sample size",
                "The effective sample fraction is 1 / (1 + chi^2).",
                ess * (1 + chi2),
                sp.S.One,
                latex=r"\frac{\left(\sum p_i v_i\right)^2}{\sum p_i v_i^2} = \frac{1}{1 + \chi^2(Q\|P)}",
            ),
        ),
        "Karlin and Rubin (1956); Hardy, Littlewood and Polya; Shaked and Shanthikumar (2007); Bengio et al. (2009)",
        ("C2", "C4"),
        notebook="07",
    )


def _covariance(q: list[Formula], first, second) -> Formula:
    product = sum(w * x * y for w, x, y in zip(q, first, second, strict=True))
    return product - sum(w * x for w, x in zip(q, first, strict=True)) * sum(
        w * y for w, y in zip(q, second, strict=True)
    )
