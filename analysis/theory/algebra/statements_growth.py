"""T5 and T5': lambda grows. Each function returns a Theorem.

Symbols: l and l' are the losses of a sample before and after a step, M is the largest loss, u is a running variable of
an integral.
"""

import sympy as sp

from analysis.theory.algebra import log_weight
from analysis.theory.algebra.proof import by_hand, identity
from analysis.theory.algebra.theorem import Theorem, needs

_before, _after, _u, _M = sp.symbols("ell ell' u M", positive=True)


def t5() -> Theorem:
    """T5: lambda grows."""
    low, high = sp.Function("F_k"), sp.Function("F_{k+1}")
    total = (low(_before) - low(_after)) - (high(_after) - low(_after))
    room = (high(_M) - low(_M)) - (high(_after) - low(_after))
    between = sp.Integral(sp.diff(high(_u), _u) - sp.diff(low(_u), _u), (_u, _after, _M)).doit()
    return Theorem(
        "T5",
        "lambda grows",
        r"\Phi_{\lambda_K}(\theta_K) = \Phi_{\lambda_0}(\theta_0) - \sum_k \text{descent}_k + \sum_k \Lambda_k,\quad "
        r"\Lambda_k \ge 0,\quad \sum_k \Lambda_k \le F_{\lambda_K}(M) - F_{\lambda_0}(M) \le M",
        (
            needs(r"$v^*$ does not fall as $\lambda$ grows", "jiang-log in the matrix"),
            needs(r"$\lambda_k$ does not fall", "lambda falls"),
            needs("for the budget: all losses after the steps are $\\le M$", "M the smallest loss"),
            needs("for the rate: T4's steps at each $\\lambda_k$", "eta = 2.5 / L"),
        ),
        r"One step splits exactly into the student's descent at the old $\lambda$ and the growth $\Lambda$ at the new "
        r"student. $F_{k+1} - F_k$ is 0 at $\ell = 0$ and has the slope $v_{k+1} - v_k \ge 0$, so it is nonnegative, "
        r"and no larger at $\ell'$ than at $M$; at $M$ the growths telescope, and $0 \le F(M) \le M$. The budget is "
        r"attained when all losses equal $M$ and stay. $\Phi$ need not fall. With T4's steps the mean of "
        r"$\|\nabla\Phi_k\|^2$, weighted by $\eta_k$, is at most $(\Phi_0 + \text{budget}) / (c \sum\eta_k)$, where "
        r"$\Phi_k$ is the objective at $\lambda_k$. Hard attains this, too: a sample above $\lambda$ waits, the growth "
        r"lifts its cost to its loss, "
        "and one step takes it down.",
        (
            identity(
                "one step",
                "Old objective minus new one.",
                low(_before) - high(_after),
                total,
                latex=r"F_k(\ell) - F_{k+1}(\ell') = \left[F_k(\ell) - F_k(\ell')\right] - "
                r"\left[F_{k+1}(\ell') - F_k(\ell')\right]",
            ),
            identity(
                "growth in the loss",
                r"The growth at $M$ minus the growth at $\ell'$.",
                room,
                between,
                latex=r"\left[F_{k+1}(M) - F_k(M)\right] - \left[F_{k+1}(\ell') - F_k(\ell')\right] = "
                r"\int_{\ell'}^M \left[v_{k+1}(u) - v_k(u)\right] du \ge 0",
            ),
            log_weight.growth(),
        ),
        "Meng, Zhao and Jiang (2017) for fixed lambda",
        notebook="06",
    )


def t5_limit() -> Theorem:
    """T5': lambda tends to infinity."""
    return Theorem(
        "T5'",
        "lambda to infinity",
        r"\Big\|\nabla\Phi_\lambda - \nabla\Big(\tfrac1n\sum_i \ell_i + R\Big)\Big\| \le "
        r"\tfrac1n\sum_i (1 - v_i)\|\nabla \ell_i\| \le \left(1 - v^*(M;\lambda)\right) C",
        (
            needs(r"plain distillation has the same $R$ as $\Phi_\lambda$", "decay on one side"),
            needs(r"$\ell_i \le M$ and $\|\nabla\ell_i\| \le C$ at $\theta$", "M the smallest loss"),
            needs(r"for the limit: $v^* \to 1$ as $\lambda \to \infty$", "jiang-log in the matrix"),
            needs(
                r"for limit points: T4's steps at $\lambda_k \to \infty$ with $\inf\eta_k > 0$; $M$ and $C$ serve the "
                r"whole path; $\ell_i$ and $R$ are continuously differentiable; T5's hypotheses"
            ),
        ),
        r"$R$ cancels, and $\nabla\Phi_\lambda$ has the terms $v_i\nabla\ell_i$: what is left is the mean of $(1 - "
        r"v_i) \nabla\ell_i$. Then the triangle inequality, and $1 - v^*$ does not fall as $\ell$ grows. One sample "
        r"attains both inequalities. For log the last factor is at most $e^{-\lambda}(e^M - 1)\,C$, by the first line "
        r"below.",
        (
            log_weight.weight_tail(),
            log_weight.latent_tail(),
            by_hand(
                "limit points of plain distillation",
                r"Limit points of the path are critical for the plain mean loss with $R$.",
                r"\Big\|\nabla\Big(\tfrac1n\sum_i \ell_i + R\Big)(\theta_k)\Big\| \le "
                r"\|\nabla\Phi_{\lambda_k}(\theta_k)\| + \left(1 - v^*(M;\lambda_k)\right) C \to 0",
                r"The budget of T5 is at most $M$ for every $K$, so $\sum_k "
                r"\eta_k\|\nabla\Phi_{\lambda_k}(\theta_k)\|^2$ is finite, and with $\inf\eta_k > 0$ the first term "
                r"tends to 0. The second does by the third hypothesis. The left side is continuous in $\theta$, so it "
                r"is 0 at a limit point.",
            ),
        ),
        "Graduated non-convexity (Blake and Zisserman, 1987) runs lambda the other way",
        notebook="06",
    )
