"""T9 and T13: the curriculum as a distribution, and the condition that makes it one."""

import sympy as sp

from analysis.theory.algebra.families import Formula
from analysis.theory.algebra.proof import by_hand, identity
from analysis.theory.algebra.theorem import Theorem, needs

_u = sp.Symbol("u", positive=True)
TP2 = (
    r"$v^*(\ell_2;\lambda)\,v^*(\ell_1;\lambda') \le v^*(\ell_1;\lambda)\,v^*(\ell_2;\lambda')$ for "
    r"$\ell_1 < \ell_2$ and $\lambda < \lambda'$ (TP2; weights may be 0)"
)


def t9() -> Theorem:
    """T9: the curriculum as a distribution."""
    pace = sp.Symbol("lambda", positive=True)
    prior, losses = sp.symbols("P_1:4", positive=True), sp.symbols("ell_1:4", positive=True)
    weights = [sp.Function(f"v_{i}", positive=True)(pace) for i in (1, 2, 3)]
    alpha = sum(p * v for p, v in zip(prior, weights, strict=True))
    lesson = [p * v / alpha for p, v in zip(prior, weights, strict=True)]
    score = [sp.diff(sp.log(v), pace) for v in weights]
    expected = sum(a * b for a, b in zip(lesson, losses, strict=True))
    convex, ratios = sp.Function("f"), [v / alpha for v in weights]
    divergence = sum(a * convex(r) for a, r in zip(prior, ratios, strict=True))
    slopes = [sp.diff(convex(_u), _u).subs(_u, r) for r in ratios]
    ess: Formula = alpha**2 / sum(p * v**2 for p, v in zip(prior, weights, strict=True))
    chi2 = sum(a**2 / p for a, p in zip(lesson, prior, strict=True)) - 1
    return Theorem(
        "T9",
        "the curriculum as a distribution",
        r"\Pi_\lambda = v^* P / \alpha:\quad \alpha \uparrow,\quad \mathbb{E}_{\Pi_\lambda}\ell \uparrow,\quad "
        r"\mathcal{D}_f(\Pi_\lambda \| P) \downarrow,\quad H(\Pi_\lambda) \uparrow \text{ for uniform } P",
        (
            needs(TP2, "jiang-log in the matrix", "axioms do not suffice"),
            needs(r"$v^*$ does not grow with $\ell$", "the hard sample weighs more"),
            needs(r"for $\alpha$: $v^*(0) = 1$", "all weights fall"),
            needs(r"$\alpha(\lambda) > 0$: some sample has weight, for otherwise there is no $\Pi_\lambda$"),
            needs(r"$\theta$ and $P$ are fixed", "the student moves on"),
            needs(r"for the mean loss: $\mathbb{E}_{\Pi_\lambda}\ell$ is finite"),
            needs(r"for $\mathcal{D}_f$: $f$ is convex", "a concave f"),
            needs("for $H$: $P$ is uniform on finitely many points", "P not uniform", "entropy falls"),
        ),
        r"The proof by hand below is complete: it needs no derivative, and weights may be 0. The algebra after it "
        r"shows the same for positive weights that are smooth in $\lambda$: TP2 says that "
        r"$\partial_\lambda \ln v^*$ grows with $\ell$, while the ratio $r = v^*/\alpha$ and $f'(r)$ do not grow with "
        r"$\ell$, so each "
        r"covariance has its sign by Chebyshev's inequality. For uniform $P$, $H = \ln n - \mathrm{KL}$.",
        (
            by_hand(
                "one crossing",
                r"$r = v^*(\cdot;\lambda)/\alpha(\lambda)$ and $r'$, the same at $\lambda' > \lambda$, cross at one "
                r"loss $\ell^*$: $r \ge r'$ before it, $r \le r'$ beyond it.",
                r"\mathbb{E}_P\left[f(r) - f(r')\right] \ge "
                r"\mathbb{E}_P\left[\left(f'(r') - f'(r'(\ell^*))\right)(r - r')\right] \ge 0",
                r"If $r(\ell_2) > r'(\ell_2)$ and $\ell_1 < \ell_2$, then $r(\ell_1) \ge r(\ell_2) > 0$, and TP2 gives "
                r"$r(\ell_2)\,r'(\ell_1) \le r(\ell_1)\,r'(\ell_2) < r(\ell_1)\,r(\ell_2)$, so "
                r"$r'(\ell_1) < r(\ell_1)$. Both have the mean 1 under $P$, so subtracting a constant changes "
                r"nothing; $r'$ and any slope $f'$ of a convex $f$ make both brackets positive before $\ell^*$ and "
                r"negative beyond it. (Where $r' = 0$, beyond $\ell^*$, $r = 0$ too.) The mean loss rises because mass "
                r"moves to losses beyond $\ell^*$: $\mathbb{E}_P[(r' - r)(\ell - \ell^*)] \ge 0$. With $\ell_1 = 0$ "
                r"and $v^*(0) = 1$ TP2 says $v^*(\ell_2;\lambda) \le v^*(\ell_2;\lambda')$, so $\alpha$ does not fall.",
            ),
            identity(
                "mean weight",
                "Its relative slope is a mean.",
                sp.diff(alpha, pace),
                alpha * sum(a * b for a, b in zip(lesson, score, strict=True)),
                latex=r"\frac{d\alpha}{d\lambda} = \alpha\,\mathbb{E}_{\Pi_\lambda}\,\partial_\lambda \ln v^* \ge 0",
            ),
            identity(
                "mean loss",
                "Its slope is a covariance (three samples).",
                sp.diff(expected, pace),
                _covariance(lesson, losses, score),
                latex=r"\frac{d}{d\lambda}\mathbb{E}_{\Pi_\lambda}\ell = "
                r"\operatorname{Cov}_{\Pi_\lambda}(\ell, \partial_\lambda \ln v^*) \ge 0",
            ),
            identity(
                "divergence",
                "The slope of every $f$-divergence is a covariance, too (three samples).",
                sp.diff(divergence, pace).doit(),
                _covariance(lesson, slopes, score),
                latex=r"\frac{d}{d\lambda} \mathcal{D}_f(\Pi_\lambda\|P) = \frac{d}{d\lambda} \sum_i P_i\,f(r_i) = "
                r"\operatorname{Cov}_{\Pi_\lambda}\left(f'(r), \partial_\lambda \ln v^*\right) \le 0",
            ),
            identity(
                "sample size",
                r"The effective sample fraction is $1 / (1 + \chi^2)$, so it grows.",
                ess * (1 + chi2),
                sp.S.One,
                latex=r"\frac{\left(\sum P_i v_i\right)^2}{\sum P_i v_i^2} = \frac{1}{1 + \chi^2(\Pi_\lambda\|P)}",
            ),
        ),
        "Karlin (1968); Karlin and Rubin (1956); Hardy, Littlewood and Polya; Shaked and Shanthikumar (2007); Bengio "
        "et al. (2009)",
        ("C2", "C4"),
        notebook="07",
    )


def t13() -> Theorem:
    """T13: the condition of T9 is necessary, and the activity bounds every divergence."""
    easy, hard, easy_late, hard_late, share = sp.symbols("v_1 v_2 v'_1 v'_2 P_2", positive=True)
    early, late = (share * b / ((1 - share) * a + share * b) for a, b in ((easy, hard), (easy_late, hard_late)))
    masses = ((1 - share) * easy + share * hard) * ((1 - share) * easy_late + share * hard_late)
    alpha, ratio, top, bottom = sp.symbols("alpha r f_1 f_0", positive=True)
    chord = ratio * alpha * top + (1 - ratio * alpha) * bottom
    return Theorem(
        "T13",
        "TP2 and no less, and the bound by the activity",
        r"\mathcal{D}_f(\Pi_{\lambda'}\|P) \le \mathcal{D}_f(\Pi_\lambda\|P)\ \ \forall f, P, \lambda < \lambda' "
        r"\iff v \text{ is TP2 in } (\ell, \lambda);\qquad \mathcal{D}_f(\Pi_\lambda\|P) \le \alpha\,f(1/\alpha) + (1 "
        r"- \alpha)\,f(0)",
        (
            needs(r"$v$ does not grow with $\ell$", "the hard sample weighs more"),
            needs(r"only $P$ with $\alpha(\lambda), \alpha(\lambda') > 0$ count, for otherwise there is no lesson"),
            needs(r"$f$ is convex (and $f(1) = 0$, which makes $\mathcal{D}_f$ a divergence)", "a concave f"),
            needs(
                r"for necessity: $\mathcal{D}_f$ falls for one strictly convex $f$ and all $P$ on two losses",
                "a kinked divergence",
            ),
            needs(r"for the bound: $0 \le v \le 1$", "a weight of 2"),
        ),
        r"TP2 suffices by T9. It is necessary: let $P$ give $P_1$ to the loss $\ell_1$ and $P_2 = 1 - P_1$ to "
        r"$\ell_2 > \ell_1$, and let $\pi_1$ and $\pi_2$ be their shares of the lesson. Then "
        r"$\mathcal{D}_f(\Pi_\lambda\|P) = P_1\,f(\pi_1/P_1) + P_2\,f(\pi_2/P_2)$ is strictly convex in $\pi_2$ with "
        r"its minimum at $\pi_2 = P_2$, so it falls strictly on $[0, P_2]$. As $v_2 \le v_1$, $\pi_2 \le P_2$ at both "
        r"paces, and $\mathcal{D}_f$ falls exactly if $\pi_2$ rises, that is, if the determinant below is not "
        r"negative. (If $v_1 = 0$ at one pace then $v_2 = 0$ there, and TP2 holds for this pair.) The bound is a "
        r"chord of $f$, "
        r"attained by weights that are 0 or 1: hard.",
        (
            identity(
                "two samples",
                r"The hard sample's share of the lesson rises exactly if the determinant is not negative.",
                (late - early) * masses,
                share * (1 - share) * (easy * hard_late - hard * easy_late),
                latex=r"\pi'_2 - \pi_2 = \frac{P_1 P_2}{\alpha\,\alpha'}\left(v_1 v'_2 - v_2 v'_1\right)",
            ),
            identity(
                "bound by the activity",
                r"$r = v/\alpha$ lies in $[0, 1/\alpha]$ and has the mean 1; the chord of $f$ there is linear in $r$.",
                chord.subs(ratio, 1),
                alpha * top + (1 - alpha) * bottom,
                latex=r"f(r) \le r\alpha\,f(1/\alpha) + (1 - r\alpha)\,f(0),\quad "
                r"\mathbb{E}_P\,f(r) \le \alpha\,f(1/\alpha) + (1 - \alpha)\,f(0)",
                reason=r"Equality where $r$ is 0 or $1/\alpha$. With $f(r) = r\ln r$, $(r - 1)^2$, $|r - 1|/2$ these "
                r"are $\mathrm{KL} \le -\ln\alpha$, $\chi^2 \le 1/\alpha - 1$, $\mathrm{TV} \le 1 - \alpha$.",
            ),
        ),
        "Csiszar (1967) for the divergences; Karlin (1968) for total positivity. The equivalence for curricula is new "
        "here, as far as we know",
        ("C2", "C4"),
        notebook="07",
    )


def _covariance(lesson: list[Formula], first, second) -> Formula:
    product = sum(w * x * y for w, x, y in zip(lesson, first, second, strict=True))
    return product - sum(w * x for w, x in zip(lesson, first, strict=True)) * sum(
        w * y for w, y in zip(lesson, second, strict=True)
    )
