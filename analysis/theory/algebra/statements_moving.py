"""T6 to T8: the samples, the batch or the momentum moves. Each function returns a Theorem.

Symbols as in `analysis.theory.algebra.statements_fixed`: l and l' are the losses of a sample before and after a step,
u is a running variable of an integral.
"""

import sympy as sp

from analysis.theory.algebra.proof import by_hand, identity
from analysis.theory.algebra.statements_fixed import fallen_slopes
from analysis.theory.algebra.theorem import Theorem, needs

_before, _after, _u = sp.symbols("ell ell' u", positive=True)
_F = sp.Function("F")
_eta, _L, _square, _noise, _beta = sp.symbols("eta L |grad|^2 sigma^2/B beta", positive=True)


def t6() -> Theorem:
    """T6: the generator moves."""
    slope = sp.diff(_F(_u), _u).subs(_u, _before)
    return Theorem(
        "T6",
        "the generator moves",
        r"|\Gamma| = \left|\mathbb{E}_z\left[F(\ell') - F(\ell)\right]\right| \le "
        r"\mathbb{E}_z\left[v^*(\min(\ell, \ell'))\,|\ell' - \ell|\right] \le \mathbb{E}_z|\ell' - \ell|",
        (
            needs("$F$ is concave with $0 \\le v^* \\le 1$", "v*(max(l, l'))"),
            needs("the same $z$ before and after"),
            needs(
                r"for transport: $\operatorname{Lip}_u(\ell)$ serves all images of both generators",
                "W1 of another pair",
            ),
            needs(r"for total variation: $F(\infty) < \infty$", "cauchy in the matrix"),
        ),
        r"$F(\ell') - F(\ell)$ is the integral of $F'$ between the two losses; $F' \ge 0$, and $F' \le v^*$ at the "
        r"smaller one. So $0 \le F(\ell') - F(\ell) \le v^*(\ell)\,(\ell' - \ell)$ for $\ell < \ell'$: average over "
        r"$z$. Small moves of losses "
        r"that all rise attain the first bound, small losses the second.",
        (
            identity(
                "drift of one sample",
                r"The slack in the upper bound, for $\ell < \ell'$: the integral of slopes that have fallen.",
                slope * (_after - _before) - (_F(_after) - _F(_before)),
                fallen_slopes(),
                latex=r"F'(\ell)\,(\ell' - \ell) - \left[F(\ell') - F(\ell)\right] = "
                r"\int_\ell^{\ell'} \left[F'(\ell) - F'(u)\right] du \ge 0",
            ),
            by_hand(
                "transport",
                "The bound for every coupling of old and new samples.",
                r"|\Gamma| \le \operatorname{Lip}_u(\ell)\,W_1(P, P')",
                r"$F$ is 1-Lipschitz in $\ell$, so $F(\ell(x))$ is $\operatorname{Lip}_u(\ell)$-Lipschitz in $x$; take "
                r"the best coupling of the two samples. This is the easy half of Kantorovich's duality; a function "
                r"with the slope 1 along the moves attains it.",
            ),
            by_hand(
                "total variation",
                "The mass that moves, times the largest cost of one sample.",
                r"|\Gamma| \le F(\infty)\,\operatorname{TV}(P, P')",
                r"$0 \le F \le F(\infty)$. Void for an unbounded $F$; and since the images of two generators are "
                r"usually mutually singular ($\operatorname{TV} = 1$), nearly always.",
            ),
        ),
        "Kantorovich (1942) for the transport distance",
        ("C1", "C3", "C4"),
        notebook="06",
    )


def t7() -> Theorem:
    """T7: mini-batches."""
    sigma2, batch, n = sp.symbols("sigma^2 B n", positive=True)
    model = -_eta * _square + _L * _eta**2 / 2 * (_square + _noise)
    threshold = sp.solve(model / _eta, _eta)[0]
    return Theorem(
        "T7",
        "mini-batches",
        r"\mathbb{E}\,\Phi(\theta - \eta \nabla\Phi_B) \le \Phi(\theta) - \eta\left(1 - "
        r"\tfrac{L\eta}{2}\right)\|\nabla\Phi\|^2 "
        r"+ \tfrac{L\eta^2}{2}\,\tfrac{\sigma^2}{B}",
        (
            needs(r"the $B$ samples are independent given the past, each from the law over which $\Phi$ averages"),
            needs(r"$\lambda$ is fixed before the batch is drawn"),
            needs(
                r"$\nabla\Phi_B = \frac1B\sum_{i=1}^{B} v_i \nabla\ell_i + \nabla R$, the batch's gradient, without "
                r"division "
                r"by $\sum v_i$",
                "divided by the batch's sum of v",
            ),
            needs("no layer couples samples", "BN in train mode on changing batches"),
            needs(
                r"$L$ bounds the curvature of $Q(\cdot \mid \theta)$ in T3's sense on the segments of all random steps",
                "L half as large",
            ),
            needs(
                r"$\sigma^2 = \mathbb{E}\|v_i\nabla\ell_i - \mathbb{E}\,v_i\nabla\ell_i\|^2 < \infty$, the trace of "
                r"the "
                "covariance of one sample's gradient",
                "variance left out, near a critical point",
            ),
            needs(
                r"for a law of infinitely many samples: near $\theta$ each $\ell(\cdot\,; z)$ is Lipschitz with a "
                r"constant $C(z)$, $\mathbb{E}\,C(z) < \infty$"
            ),
        ),
        r"$\nabla\Phi_B$ is unbiased: $F$ is 1-Lipschitz, so by the last hypothesis the difference quotients of "
        r"$F(\ell)$ are "
        r"dominated and $\nabla\mathbb{E}\,F(\ell) = \mathbb{E}\,v\,\nabla\ell$ (for finitely many samples there is "
        r"nothing to exchange). So the cross term in the quadratic bound of $Q$ is $-\eta\|\nabla\Phi\|^2$ in the "
        r"mean, and $\mathbb{E}\|\nabla\Phi_B\|^2 = \|\nabla\Phi\|^2 + \sigma^2/B$. Quadratic losses of equal "
        r"curvature and "
        r"weight 1 attain the bound. "
        r"Expected descent is guaranteed for $\eta < 2\|\nabla\Phi\|^2 / (L (\|\nabla\Phi\|^2 + \sigma^2/B))$; beyond "
        r"it "
        r"may or may not hold.",
        (
            identity(
                "quadratic bound",
                r"The quadratic bound of $Q$, in the mean over batches.",
                model,
                -_eta * (1 - _L * _eta / 2) * _square + _L * _eta**2 * _noise / 2,
                latex=r"-\eta \|\nabla\Phi\|^2 + \tfrac{L\eta^2}{2}\left(\|\nabla\Phi\|^2 + "
                r"\tfrac{\sigma^2}{B}\right) = "
                r"-\eta\left(1 - \tfrac{L\eta}{2}\right) \|\nabla\Phi\|^2 + \tfrac{L\eta^2}{2}\,\tfrac{\sigma^2}{B}",
            ),
            identity(
                "threshold",
                "Where the bound is 0: it promises descent below this step.",
                threshold,
                2 * _square / (_L * (_square + _noise)),
                latex=r"\eta = \frac{2\|\nabla\Phi\|^2}{L\,(\|\nabla\Phi\|^2 + \sigma^2/B)}",
            ),
            identity(
                "without replacement",
                r"Drawn without replacement the variance is smaller: $\sigma^2/B$ gets another factor.",
                (batch * sigma2 - batch * (batch - 1) * sigma2 / (n - 1)) / batch**2,
                sigma2 / batch * (n - batch) / (n - 1),
                latex=r"\frac{1}{B^2}\left[B\,\sigma^2 - B(B - 1)\,\frac{\sigma^2}{n - 1}\right] = "
                r"\frac{\sigma^2}{B}\,\frac{n - B}{n - 1}",
                reason="The left side is the variance of a mean of $B$: two different samples have the covariance "
                "$-\\sigma^2 / (n - 1)$, because all $n$ deviations add up to 0.",
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
    gradients = (1 + _beta) * n**2 + _beta * (1 + _beta) * m**2 - g**2
    return Theorem(
        "T8",
        "energy of momentum",
        r"\mathcal{H}_k = \Phi(\theta_k) + \tfrac{\beta\eta_k}{2}\|m_k\|^2,\quad "
        r"\mathcal{H}_{k+1} \le \mathcal{H}_k - \eta_k\left(1 - \beta - \tfrac{L\eta_k}{2}\right)\|m_{k+1}\|^2",
        (
            needs(
                r"$m_{k+1} = \beta m_k + \nabla\Phi(\theta_k)$, $\theta_{k+1} = \theta_k - \eta_k m_{k+1}$ (torch's "
                r"SGD, no "
                r"dampening, no Nesterov)"
            ),
            needs(r"for the sum: $m_0 = 0$", "momentum at the start"),
            needs(r"weight decay is inside $\Phi$, and $\nabla\Phi$ is its full gradient", "weight decay rises"),
            needs(
                r"$L$ bounds the curvature of $Q(\cdot \mid \theta_k)$ in T3's sense on the segment of each step",
                "L half as large",
            ),
            needs(r"$\eta_k$ does not grow, and $\eta_k \le 2 (1 - \beta) / L$", "momentum rises"),
            needs(r"for the sum: $\eta_k = \eta < 2 (1 - \beta) / L$"),
        ),
        r"Write $m, m'$ for $m_k, m_{k+1}$ and put $\nabla\Phi(\theta_k) = m' - \beta m$ into the quadratic bound of "
        r"$Q$: what is left over is minus a square, and a smaller $\eta_{k+1}$ only lowers $\mathcal{H}_{k+1}$. At "
        r"constant $\eta$ the bracket is "
        r"a positive constant, so $\sum_k\|m_{k+1}\|^2 \le (\Phi_0 - \inf\Phi) / [\eta (1 - \beta - L\eta/2)]$. By the "
        r"second line $\|\nabla\Phi(\theta_k)\|^2 \le (1 + \beta)\|m_{k+1}\|^2 + \beta (1 + \beta)\|m_k\|^2$ adds up "
        r"to "
        r"$\sum_k \|\nabla\Phi(\theta_k)\|^2 \le (1 + \beta)^2 (\Phi_0 - \inf\Phi) / [\eta (1 - \beta - L\eta/2)]$. "
        r"At $\beta = 0$ "
        r"both lines are T3's and one quadratic loss of weight 1 attains them. For $\beta > 0$ the second cannot be "
        r"attained: it would need $m' = m$ in the energy and $m' = -m$ in the gradients.",
        (
            identity(
                "energy",
                r"The bound on the change of $\Phi$, plus the new kinetic part (one coordinate stands for all).",
                after,
                claimed,
                latex=r"-\eta\,(m' - \beta m)\,m' + \tfrac{L\eta^2}{2} m'^2 + \tfrac{\beta\eta}{2} m'^2 = "
                r"\tfrac{\beta\eta}{2} m^2 - "
                r"\eta\left(1 - \beta - \tfrac{L\eta}{2}\right) m'^2 - \tfrac{\beta\eta}{2} (m - m')^2",
            ),
            identity(
                "gradients",
                "The slack in the bound on the gradient is a square.",
                gradients,
                _beta * (n + m) ** 2,
                latex=r"(1 + \beta)\,m'^2 + \beta (1 + \beta)\,m^2 - (m' - \beta m)^2 = \beta\,(m + m')^2 \ge 0",
            ),
        ),
        "Zavriev and Kostyuk (1993); Ochs, Chen, Brox and Pock (2014, iPiano)",
        notebook="05",
    )
