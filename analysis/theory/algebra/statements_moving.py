"""T5 to T8: lambda, the samples, the batch or the momentum moves. Each function returns a Theorem.

Symbols as in `analysis.theory.algebra.statements_fixed`: a and b are the losses before and after a step, x is a
variable loss.
"""

import sympy as sp

from analysis.theory.algebra import log_weight
from analysis.theory.algebra.families import Formula
from analysis.theory.algebra.proof import by_hand, identity
from analysis.theory.algebra.statements_fixed import fallen_slopes
from analysis.theory.algebra.theorem import Theorem

_a, _b, _x, _M = sp.symbols("a b x M", positive=True)
_F = sp.Function("F")
_eta, _L, _G, _S, _beta = sp.symbols("eta L G S beta", positive=True)


def t5() -> Theorem:
    """T5: lambda grows."""
    low, high = sp.Function("F_k"), sp.Function("F_{k+1}")
    total = (low(_a) - low(_b)) - (high(_b) - low(_b))
    room = (high(_M) - low(_M)) - (high(_b) - low(_b))
    between = sp.Integral(sp.diff(high(_x), _x) - sp.diff(low(_x), _x), (_x, _b, _M)).doit()
    return Theorem(
        "T5",
        "lambda grows",
        r"\Phi_{\lambda_K}(\theta_K) = \Phi_{\lambda_0}(\theta_0) - \sum_k \text{descent}_k + \sum_k \Lambda_k,\quad "
        r"\Lambda_k \ge 0,\quad \sum_k \Lambda_k \le F_{\lambda_K}(M) - F_{\lambda_0}(M) \le M",
        (
            r"$v^*$ does not fall as $\lambda$ grows (not jiang-log)",
            r"$\lambda_k$ does not fall",
            "for the budget: all losses on the path stay $\\le M$",
        ),
        r"One step splits exactly into the student's descent at the old $\lambda$ and the growth $\Lambda$ at the new "
        r"student. $F_{k+1} - F_k$ is 0 at $\ell = 0$ and has the slope $v_{k+1} - v_k \ge 0$, so it is nonnegative, "
        r"and no larger at $b$ than at $M$; at $M$ the growths telescope. $\Phi$ need not fall. With T4's steps "
        r"$\min_k\|\nabla\Phi_k\|^2 \le (\Phi_0 + \text{budget}) / (c \sum\eta_k)$.",
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
                "The growth at $M$ minus the growth at $b$.",
                room,
                between,
                latex=r"\left[F_{k+1}(M) - F_k(M)\right] - \left[F_{k+1}(b) - F_k(b)\right] = "
                r"\int_b^M \left[v_{k+1}(x) - v_k(x)\right] dx \ge 0",
            ),
            log_weight.growth(),
        ),
        "Meng, Zhao and Jiang (2017) for fixed lambda; the budget is ours",
        notebook="06",
    )


def t5_limit() -> Theorem:
    """T5': lambda tends to infinity."""
    return Theorem(
        "T5'",
        "lambda to infinity",
        r"\Big\|\nabla\Phi_\lambda - \nabla \tfrac1n\sum_i \ell_i\Big\| \le \tfrac1n\sum_i (1 - v_i)\|\nabla "
        r"\ell_i\| "
        r"\le \left(1 - v^*(M;\lambda)\right) G",
        (
            r"$v^* \to 1$ as $\lambda \to \infty$ (not jiang-log)",
            r"losses $\le M$ and loss gradients $\le G$ on the path",
        ),
        r"The triangle inequality, and $1 - v^*$ does not fall as $\ell$ grows. For log the last factor is at most "
        r"$e^{-\lambda}(e^M - 1)$, by the first line below. With bounded iterates the limit points are then critical "
        r"for plain distillation.",
        (log_weight.weight_tail(), log_weight.latent_tail()),
        "Ours; graduated non-convexity (Blake and Zisserman, 1987) runs lambda the other way",
        notebook="06",
    )


def t6() -> Theorem:
    """T6: the generator moves."""
    slope = sp.diff(_F(_x), _x).subs(_x, _a)
    return Theorem(
        "T6",
        "the generator moves",
        r"|\Gamma| = \left|\mathbb{E}_z\left[F(\ell') - F(\ell)\right]\right| \le "
        r"\mathbb{E}_z\left[v^*(\min(\ell, \ell'))\,|\ell' - \ell|\right] \le \mathbb{E}_z|\ell' - \ell|",
        ("$F$ is concave with $0 \\le F' \\le 1$", "the same $z$ before and after"),
        r"$F(\ell') - F(\ell)$ is the integral of $F'$ between the two losses; $F' \ge 0$, and $F' \le v^*$ at the "
        r"smaller one. So $0 \le F(b) - F(a) \le v^*(a)\,(b - a)$ for $a < b$: average over $z$.",
        (
            identity(
                "drift of one sample",
                "The slack in the upper bound, for $a < b$: the integral of slopes that have fallen.",
                slope * (_b - _a) - (_F(_b) - _F(_a)),
                fallen_slopes(),
                latex=r"F'(a)\,(b - a) - \left[F(b) - F(a)\right] = \int_a^b \left[F'(a) - F'(x)\right] dx \ge 0",
            ),
            by_hand(
                "transport",
                "The bound for every coupling of old and new samples.",
                r"|\Gamma| \le \operatorname{Lip}_x(\ell)\,W_1(P, P')",
                r"$F$ is 1-Lipschitz in $\ell$, so $F(\ell(x))$ is $\operatorname{Lip}_x(\ell)$-Lipschitz in $x$; take "
                r"the best coupling (Kantorovich).",
            ),
            by_hand(
                "total variation",
                "The mass that moves, times the largest cost of one sample.",
                r"|\Gamma| \le F(\infty)\,\operatorname{TV}(P, P')",
                r"$0 \le F \le F(\infty)$. Void for an unbounded $F$; and since the images of two generators are "
                r"usually mutually singular ($\operatorname{TV} = 1$), nearly always.",
            ),
        ),
        "Kantorovich duality; ours for the sharper form",
        ("C1", "C3", "C4"),
        notebook="06",
    )


def t7() -> Theorem:
    """T7: mini-batches."""
    g = sp.symbols("g_1:4")
    mean = sum(g) / 3
    variance: Formula = sum((value - mean) ** 2 for value in g) / 3
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
            "samples independent given the past (fresh $z$)",
            r"$\lambda$ fixed before the batch is drawn",
            r"no division by $\sum v$",
            "no layer that couples samples",
            r"$Q(\cdot \mid \theta)$ has curvature at most $L$",
            "second moments finite",
        ),
        r"$g_B$, the mean of $v_i \nabla\ell_i$ over the batch, is unbiased, so the cross term in the quadratic bound "
        r"of $Q$ is $-\eta\|\nabla\Phi\|^2$ in the mean, and $\mathbb{E}\|g_B\|^2 = \|\nabla\Phi\|^2 + \sigma^2/B$. "
        r"With $G = \|\nabla\Phi\|^2$ expected descent is guaranteed for $\eta < 2G / (L (G + \sigma^2/B))$; beyond it "
        r"may or may not hold.",
        (
            identity(
                "quadratic bound",
                r"With $G = \|\nabla\Phi\|^2$ and $S = \sigma^2 / B$.",
                model,
                -_eta * (1 - _L * _eta / 2) * _G + _L * _eta**2 * _S / 2,
                latex=r"-\eta G + \tfrac{L\eta^2}{2}(G + S) = -\eta\left(1 - \tfrac{L\eta}{2}\right) G + "
                r"\tfrac{L\eta^2}{2} S",
            ),
            identity(
                "threshold",
                "Where the bound is 0: it promises descent below this step.",
                threshold,
                2 * _G / (_L * (_G + _S)),
                latex=r"\eta = \frac{2G}{L\,(G + S)}",
            ),
            identity(
                "without replacement",
                "Drawn without replacement the variance is smaller; here for a batch of 2 out of 3.",
                without,
                variance / 2 * sp.Rational(3 - 2, 3 - 1),
                latex=r"\operatorname{Var}(g_B) = \frac{\sigma^2}{B}\,\frac{n - B}{n - 1}\quad (n = 3,\ B = 2)",
                reason="In general: two different samples have the covariance $-\\sigma^2 / (n - 1)$, because all $n$ "
                "deviations add up to 0; put that into the variance of a mean of $B$.",
            ),
        ),
        "Ghadimi and Lan (2013); Bottou, Curtis and Nocedal (2018)",
        notebook="05",
    )


def t8() -> Theorem:
    """T8: energy of momentum."""
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
            r"$m_{k+1} = \beta m_k + g_k$, $\theta_{k+1} = \theta_k - \eta_k m_{k+1}$, $m_0 = 0$ (torch's SGD, no "
            r"dampening, no Nesterov)",
            r"weight decay is inside $\Phi$, and $g_k$ is its full gradient",
            r"$Q(\cdot \mid \theta_k)$ has curvature at most $L$",
            r"$\eta_k$ does not grow, and $\eta_k \le 2 (1 - \beta) / L$",
        ),
        r"Write $m, m'$ for $m_k, m_{k+1}$ and put $g = m' - \beta m$ into the quadratic bound of $Q$: what is left "
        r"over is minus a square, and a smaller $\eta_{k+1}$ only lowers $H_{k+1}$. Summed over $k$, the squares of "
        r"$m_k$ have a finite sum; with the second line at constant $\eta$ the squares of the gradients have one, too: "
        r"$\sum_k \|g_k\|^2 \le 2 (1 + \beta^2) (\Phi_0 - \inf\Phi) / [\eta (1 - \beta - L\eta/2)]$.",
        (
            identity(
                "energy",
                r"The bound on the change of $\Phi$, plus the new kinetic part (one coordinate stands for all).",
                after,
                claimed,
                latex=r"-\eta g m' + \tfrac{L\eta^2}{2} m'^2 + \tfrac{\beta\eta}{2} m'^2 = \tfrac{\beta\eta}{2} m^2 - "
                r"\eta\left(1 - \beta - \tfrac{L\eta}{2}\right) m'^2 - \tfrac{\beta\eta}{2} (m - m')^2",
            ),
            identity(
                "gradients",
                "The slack in the bound on the gradient is a square.",
                gradients,
                (n + _beta * m) ** 2,
                latex=r"2\left(m'^2 + \beta^2 m^2\right) - g^2 = (m' + \beta m)^2 \ge 0",
            ),
        ),
        "Zavriev and Kostyuk (1993); Ochs, Chen, Brox and Pock (2014, iPiano)",
        notebook="05",
    )
