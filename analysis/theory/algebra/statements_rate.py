"""T4: the rate of descent on a fixed sample, the steps for which it holds, and the limit points."""

import sympy as sp

from analysis.theory.algebra.proof import Proof, by_hand, identity
from analysis.theory.algebra.statements_fixed import quadratic_model
from analysis.theory.algebra.theorem import Theorem, needs

_eta, _L, _square, _c = sp.symbols("eta L |grad|^2 c", positive=True)


def t4() -> Theorem:
    """T4: rate."""
    return Theorem(
        "T4",
        "rate",
        r"\min_{k<K} \|\nabla\Phi(\theta_k)\|^2 \le "
        r"\frac{\sum_{k<K} \eta_k \|\nabla\Phi(\theta_k)\|^2}{\sum_{k<K} \eta_k} \le "
        r"\frac{\Phi_0 - \Phi_K}{c \sum_{k<K} \eta_k}",
        (
            needs(
                r"one $c > 0$ serves all steps: $\Phi_{k+1} \le \Phi_k - c\,\eta_k \|\nabla\Phi_k\|^2$, by Armijo's "
                r"rule, by T3 with $c = \min_k (1 - L\eta_k/2)$, or by exact steps with $c\,\eta_k = 1/(2L)$",
                "step too large",
            ),
            needs(r"for $O(1/K)$: $\inf \eta_k > 0$, which the two lemmas below prove", "steps run out"),
            needs(r"for limit points: $\ell_i$ and $R$ are continuously differentiable"),
            needs(
                r"for limit points that no direction leads down from, to first order: $v^*$ is continuous (not hard)",
                "hard stops on the way",
            ),
            needs(
                "for convergence of the whole sequence: bounded iterates and the Kurdyka-Lojasiewicz inequality (cited "
                "and not tested)"
            ),
        ),
        r"Sum the descent inequality over the steps; $F \ge 0$ and $R \ge 0$, so $\Phi_0 - \Phi_K \le \Phi_0$ for "
        r"every $K$. Where $F$ has a kink (hard) $\nabla\Phi$ stands for the selected supergradient $\frac1n\sum v_i "
        r"\nabla\ell_i + \nabla R$, here and in T3, T7 and T8. Every limit point is critical in the sense of Clarke, "
        r"for all ten regularizers; where $v^*$ is continuous, $\nabla\Phi = 0$ there. Hard loses the last statement: "
        r"$\Phi$ may still "
        "fall to one side of its limit point. The rate is attained by one quadratic loss of weight 1, with Armijo's "
        "longest step.",
        (_telescoping(), _mean(), _armijo(), _exact(), _limit_points()),
        "Absil, Mahony and Andrews (2005); Attouch, Bolte and Svaiter (2013); Clarke (1983)",
        notebook="05",
    )


def _telescoping() -> Proof:
    phi = sp.Function("Phi")
    k, count = sp.Symbol("k", integer=True), sp.Symbol("K", integer=True, positive=True)
    return identity(
        "telescoping",
        r"The descents add up to what $\Phi$ has lost, for every $K$.",
        sp.summation(phi(k) - phi(k + 1), (k, 0, count - 1)),
        phi(0) - phi(count),
        latex=r"\sum_{k=0}^{K-1}\left(\Phi_k - \Phi_{k+1}\right) = \Phi_0 - \Phi_K",
    )


def _mean() -> Proof:
    return by_hand(
        "mean and smallest gradient",
        "A mean is at least its smallest term.",
        r"c \Big(\min_{k<K}\|\nabla\Phi_k\|^2\Big) \sum_{k<K} \eta_k \le "
        r"c\sum_{k<K}\eta_k\|\nabla\Phi_k\|^2 \le \Phi_0 - \Phi_K",
        r"As the sum of $\eta_k \|\nabla\Phi_k\|^2$ is finite, its part from $K/2$ to $K$ tends to 0, so with "
        r"$\inf\eta_k > 0$ the minimum is even $o(1/K)$, and $\nabla\Phi_k \to 0$.",
    )


def _armijo() -> Proof:
    longest = 2 * (1 - _c) / _L
    return identity(
        "lemma: Armijo's steps are bounded below",
        r"A step of $2(1 - c)/L$ lowers $Q$ by $c\,\eta\,\|\nabla\Phi\|^2$ at least.",
        quadratic_model().subs(_eta, longest),
        -_c * longest * _square,
        latex=r"-\eta\left(1 - \tfrac{L\eta}{2}\right) \|\nabla\Phi\|^2 = -c\,\eta\,\|\nabla\Phi\|^2"
        r"\ \text{ at }\ \eta = \tfrac{2(1 - c)}{L},\quad\text{so}\quad \eta_k \ge \min\left(\eta_{\text{first}}, "
        r"\tfrac{1 - c}{L}\right)",
        reason=r"Shorter steps pass the rule as well, since the bracket grows as $\eta$ falls. So the rule halves only "
        r"steps longer than $2(1 - c)/L$, and what it accepts is longer than half of that, or the first step itself. "
        r"$L$ bounds the curvature of $Q$ for all weights in $[0, 1]$; nothing of $F$ enters, so it holds for all ten.",
    )


def _exact() -> Proof:
    return identity(
        "lemma: the exact inner step",
        r"The minimiser of $Q$ is at least as low as the best gradient step, $\eta = 1/L$.",
        quadratic_model().subs(_eta, 1 / _L),
        -_square / (2 * _L),
        latex=r"\Phi_{k+1} \le \min Q \le Q(\theta_k - \tfrac1L \nabla\Phi_k) \le \Phi_k - "
        r"\frac{\|\nabla\Phi_k\|^2}{2L}",
        reason="This needs a minimiser of $Q$: without weight decay, KL may have none.",
    )


def _limit_points() -> Proof:
    return by_hand(
        "limit points",
        r"Every limit point is Clarke critical ($\partial$ is Clarke's subdifferential).",
        r"0 \in \partial \Phi(\theta^*) = \tfrac1n\sum_i \partial F(\ell_i(\theta^*))\,\nabla\ell_i(\theta^*) + "
        r"\nabla R(\theta^*)",
        r"$-F$ is convex (continued below 0 with slope $F'(0) = 1$) and $\ell_i$ is continuously differentiable, so "
        r"$-F \circ \ell_i$ is regular in Clarke's sense and the sum rule holds with equality. Along the subsequence "
        r"that tends to $\theta^*$ the weights lie in $[0, 1]$; take a further subsequence on which they converge. The "
        r"limits are supergradients of $F$ at $\ell_i(\theta^*)$, because the graph of $\partial F$ is closed, and the "
        r"selected gradients tend to 0. A continuous $v^*$ is the only supergradient: then $\nabla\Phi(\theta^*) = 0$.",
    )
