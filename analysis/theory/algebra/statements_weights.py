"""T12 and T14: the meaning of the weights, and the price of the latent loss in mean loss."""

import sympy as sp

from analysis.theory.algebra.families import FAMILIES, Formula, l, lam, nu, v
from analysis.theory.algebra.proof import Proof, by_hand, identities, identity
from analysis.theory.algebra.theorem import Theorem, needs


def t12() -> Theorem:
    """T12: the meaning of the weights."""
    return Theorem(
        "T12",
        "what the weights are",
        r"\Phi = \min_{0 \le v \le 1}\left[\int v\,\ell\,dP + \mathcal{D}_g(vP \| P)\right];\qquad "
        r"v^* = \zeta\,\mathbb{E}[\omega \mid \ell] \text{ for a prior of } \omega \iff "
        r"e^{-F/\zeta} \text{ completely monotone}",
        (
            needs(
                r"$g$ is the penalty of $F$: $g(v) = \sup_\ell\,[F(\ell) - v\ell]$, convex with $g(1) = 0$; and "
                r"$\mathcal{D}_g(vP \| P) = \mathbb{E}_P\,g(v)$",
                "nine tenths of the divergence",
            ),
            needs(
                r"for EM: a sample has a random weight $\omega \ge 0$ with a prior whose Laplace transform is "
                r"$e^{-F/\zeta}$, and the likelihood $e^{-\omega\ell}$ (a factor that depends on $\omega$ alone, as "
                r"$\sqrt \omega$ for a normal residual, is counted to the prior)",
                "the prior of a pace a tenth larger",
            ),
            needs(
                r"for EM: $e^{-F/\zeta}$ is completely monotone for some $\zeta > 0$ (log, welsch, cauchy, l1-l2)",
                "hard in the matrix",
            ),
        ),
        r"The first part is Fenchel's equality, sample by sample; $g$ is nonnegative with its zero at $v = 1$, so "
        r"$\mathcal{D}_g$ is a divergence between measures. At the optimum the masses are $v^*P$, which has the "
        r"direction "
        r"of T9's $\Pi_\lambda$. For the second part, "
        r"$\mathbb{E}[\omega \mid \ell] = -\tfrac{d}{d\ell}\ln\mathbb{E}\,e^{-\omega\ell}$, with the mean over the "
        r"prior on the right: it is $F'/\zeta$ for all $\ell$ exactly when this mean is $e^{-F/\zeta}$, and a function "
        r"is such a mean exactly when it is completely monotone (Bernstein). Then the E-step computes $v^*/\zeta$, and "
        r"the M-step minimises the weighted loss: EM for $\Phi/\zeta$ is MM for $\Phi$. For log, $\omega$ is 0 or 1, "
        r"and $v^*/\zeta$ is the probability that the sample is clean. For hard, linear, polynomial, mixture, "
        r"jiang-log and huber no prior exists for any $\zeta$: $e^{-F/\zeta}$ would be analytic, and these $F$ are "
        r"straight on one interval and not straight beyond it.",
        (*_em(), *_robust(), *_divergences()),
        "Andrews and Mallows (1974), West (1987), Lange, Little and Taylor (1989) on scale mixtures; Dempster, Laird "
        "and Rubin (1980) on reweighting as EM; Polson and Scott (2016) on mixtures and envelopes; Fan, He, Liang and "
        "Hu (2017) and Liu, Ma and Meng (2018) on self-paced learning, robust losses and concave conjugates; Donsker "
        "and Varadhan (1975), Li, Beirami, Sanjabi and Smith (2021) on tilted risk. We know no source for the priors "
        "of log and Welsch",
        notebook="02",
    )


def t14() -> Theorem:
    """T14: the price of a curriculum."""
    top, fall, samples, equal = sp.symbols("M F_M n ell", positive=True)
    return Theorem(
        "T14",
        "the price of a curriculum",
        r"J(\theta_\Phi) \le \frac{M}{F(M)}\,\inf J,\quad J = \tfrac1n\sum_i\ell_i + R,\quad "
        r"\theta_\Phi \text{ a global minimiser of } \Phi,\ M = \max_i\ell_i(\theta_\Phi)",
        (
            needs("$F$ is concave with $F(0) = 0$", "a convex F"),
            needs(r"$F(\ell) \le \ell$", "F twice as steep"),
            needs(r"$R \ge 0$", "a negative R"),
            needs(
                r"$\theta_\Phi$ minimises $\Phi$ globally; where $\Phi$ exceeds its minimum, $M/F(M)$ times the excess "
                r"is added",
                "a local minimiser",
            ),
            needs(r"for the limit: $v^* \to 1$ as $\lambda$ grows", "jiang-log in the matrix"),
        ),
        r"Below $M$ the chord from 0 lies under $F$: $\tfrac{F(M)}{M}\ell \le F(\ell) \le \ell$. So "
        r"$\tfrac{F(M)}{M}J(\theta_\Phi) \le \Phi(\theta_\Phi) \le \Phi(\theta) \le J(\theta)$ for every $\theta$. The "
        r"factor is at least 1. It needs nothing but the largest loss of the student at hand. It is 1 if no sample "
        r"is weighed down; there is no price if some student fits all samples; and it tends to 1 as $\lambda$ grows. "
        r"It is sharp: let a student choose between the losses $(M, 0, \dots, 0)$ and equal losses $\ell$. "
        r"A local minimiser may pay more: for hard at $\lambda = 1$, nine points at 0 and one at 3, the local "
        r"minimiser 3 has $J = 4.05$, and the bound is $1.82$.",
        (
            by_hand(
                "chord",
                r"A concave $F$ lies above the chord from $(0, 0)$ to $(M, F(M))$.",
                r"F(uM) \ge u\,F(M) + (1 - u)\,F(0) = \frac{F(M)}{M}\,uM,\quad 0 \le u \le 1",
                r"This is the definition of concavity, with $F(0) = 0$.",
            ),
            identity(
                "attained",
                r"Both choices cost the same $\Phi$ if $F(\ell) = F(M)/n$. As $n \to \infty$ then $\ell \to 0$, and "
                r"$F(\ell)/\ell \to F'(0) = 1$.",
                top / samples / equal,
                top / fall * (fall / samples) / equal,
                latex=r"\frac{M/n}{\ell} = \frac{M}{F(M)}\cdot\frac{F(\ell)}{\ell} \to \frac{M}{F(M)}",
            ),
            by_hand(
                "limit",
                r"The factor tends to 1 as $\lambda$ grows.",
                r"\frac{F_\lambda(M)}{M} = \frac1M\int_0^M v^*(u;\lambda)\,du \to 1",
                r"$0 \le v^* \le 1$ and $v^* \to 1$ at every loss $u$: dominated convergence. For log the integral of "
                r"$1 - "
                r"v^*$ is at most $e^{-\lambda}(e^M - 1 - M)$, by T5'.",
            ),
        ),
        "One line of convexity; we know no source that states it for self-paced learning",
        notebook="06",
    )


def _em() -> tuple[Proof, ...]:
    """The priors of log, Welsch, Cauchy and L1-L2."""
    j, w = sp.Symbol("j", integer=True, nonnegative=True), sp.Symbol("omega", positive=True)
    log, welsch, cauchy = (FAMILIES[name].pieces[0] for name in ("log", "welsch", "cauchy"))
    total = 1 + sp.exp(-lam)
    clean = sp.exp(-l) / total
    series = sp.Sum(w**j / sp.factorial(j), (j, 0, sp.oo)).doit()
    poisson = sp.exp(-lam) * series.subs(w, lam * sp.exp(-l / lam))
    gamma = sp.integrate(
        lam**lam * w ** (lam - 1) * sp.exp(-(lam + l) * w) / sp.gamma(lam), (w, 0, sp.oo), conds="none"
    )
    return (
        identity(
            "log is contamination",
            r"$\omega$ is 1 with probability $1/\zeta$, $\zeta = 1 + e^{-\lambda}$, and else 0: the weight is $\zeta$ "
            r"times "
            r"the probability that $\omega = 1$.",
            log.weight,
            total * clean / (clean + sp.exp(-lam) / total),
            latex=r"\frac{v^*}{\zeta} = "
            r"\frac{\tfrac1\zeta e^{-\ell}}{\tfrac1\zeta e^{-\ell} + \tfrac1\zeta e^{-\lambda}}",
        ),
        identity(
            "likelihood of log",
            r"$F$ is $-\zeta$ times the log-likelihood of this contaminated sample.",
            log.latent,
            -total * sp.log(clean + sp.exp(-lam) / total),
            latex=r"F = -\zeta\,\ln\left[\tfrac1\zeta e^{-\ell} + \tfrac1\zeta e^{-\lambda}\right]",
        ),
        identity(
            "Welsch is a count",
            r"$\lambda \omega$ has Poisson's distribution with mean $\lambda$.",
            sp.log(poisson),
            -welsch.latent,
            latex=r"\sum_{j \ge 0} e^{-\lambda}\frac{\lambda^j}{j!}\,e^{-j\ell/\lambda} = "
            r"e^{-\lambda(1 - e^{-\ell/\lambda})} = e^{-F}",
        ),
        identity(
            "Cauchy is a Gamma variable",
            r"$\omega$ has the Gamma distribution of shape $\lambda$ and mean 1.",
            sp.log(gamma),
            -cauchy.latent,
            latex=r"\int_0^\infty \frac{\lambda^\lambda \omega^{\lambda-1}}{\operatorname{Gamma}(\lambda)}"
            r"e^{-\lambda \omega}\,e^{-\omega\ell}\,d\omega = \left(1 + \tfrac{\ell}{\lambda}\right)^{-\lambda} = "
            r"e^{-F}",
        ),
        by_hand(
            "L1-L2 is an inverse Gaussian variable",
            r"$\omega$ has the inverse Gaussian distribution of mean 1 and shape $2\lambda$.",
            r"\mathbb{E}\,e^{-\omega\ell} = e^{2\lambda\left(1 - \sqrt{1 + \ell/\lambda}\right)} = e^{-F}",
            "This is the distribution's known Laplace transform; the check compares it with a quadrature.",
        ),
    )


def _robust() -> tuple[Proof, ...]:
    """Welsch's dual form, for three samples."""
    prior, losses = sp.symbols("P_1:4", positive=True), sp.symbols("ell_1:4", positive=True)
    mass = sum(p * sp.exp(-x / lam) for p, x in zip(prior, losses, strict=True))
    lesson = [p * sp.exp(-x / lam) / mass for p, x in zip(prior, losses, strict=True)]
    mean = sum(a * x for a, x in zip(lesson, losses, strict=True))
    # the bracket is ln(lesson / prior)
    kl: Formula = sum(a * (-x / lam - sp.log(mass)) for a, x in zip(lesson, losses, strict=True))
    other = sp.symbols("q_1:4", positive=True)
    cost = sum(r * x + lam * r * sp.log(r / p) for r, x, p in zip(other, losses, prior, strict=True))
    from_optimum = sum(
        lam * r * (sp.log(r / p) + x / lam + sp.log(mass)) for r, x, p in zip(other, losses, prior, strict=True)
    )
    return (
        identity(
            "Welsch is a tilted mean",
            r"At $\Pi_\lambda$, mean loss and divergence add up to the tilted mean (three samples).",
            mean + lam * kl,
            -lam * sp.log(mass),
            latex=r"\mathbb{E}_{\Pi_\lambda}\ell + \lambda\,\mathrm{KL}(\Pi_\lambda\|P) = "
            r"-\lambda\ln\mathbb{E}_P\,e^{-\ell/\lambda} = -\lambda\ln\left(1 - \Phi/\lambda\right)",
        ),
        identity(
            "no distribution does better",
            r"Any other distribution $\Pi$ costs $\lambda\,\mathrm{KL}(\Pi \| \Pi_\lambda)$ more (three samples).",
            cost - from_optimum,
            -lam * sp.log(mass) * sum(other),
            latex=r"\mathbb{E}_\Pi\ell + \lambda\,\mathrm{KL}(\Pi\|P) = -\lambda\ln\mathbb{E}_P\,e^{-\ell/\lambda} + "
            r"\lambda\,\mathrm{KL}(\Pi\|\Pi_\lambda)",
        ),
    )


def _divergences() -> tuple[Proof, ...]:
    """The penalties by the names of their divergences."""
    total = 1 + sp.exp(-lam)
    share, clean, odds = v / total, 1 / total, sp.Symbol("w", positive=True)
    coins = share * sp.log(share / clean) + (1 - share) * sp.log((1 - share) / (1 - clean))
    named = {
        "hard": lam * (1 - v),
        "linear": lam * (1 - v) ** 2 / 2,
        "welsch": lam * (v * sp.log(v) - v + 1),
        "cauchy": lam * (v - 1 - sp.log(v)),
        "l1-l2": lam * (1 - v) ** 2 / v,
        "huber": lam * ((1 - v) ** 2 / v + (1 - v)),
        "polynomial": lam * (v**nu - nu * v + nu - 1) / nu,
    }
    return (
        identities(
            "divergences by name",
            r"The penalties of hard, linear, welsch, cauchy, l1-l2, huber and polynomial are the mass left out (total "
            r"variation), Pearson's $\chi^2$, KL, reverse KL, Neyman's $\chi^2$, Neyman's $\chi^2$ plus the mass left "
            r"out, and the power divergence of order $\nu$.",
            [(FAMILIES[name].penalty, formula) for name, formula in named.items()],
            (),
            "g",
        ),
        identity(
            "divergence of log",
            r"Log's penalty is $\zeta$ times the KL divergence of two coins, with probabilities $v/\zeta$ and "
            r"$1/\zeta$.",
            FAMILIES["log"].penalty,
            total * coins,
            ({v: total * odds / (1 + odds)},),
            latex=r"g = \zeta\left[\tfrac v\zeta\ln v + \left(1 - \tfrac v\zeta\right)"
            r"\ln\frac{1 - v/\zeta}{1 - 1/\zeta}\right],\quad \zeta = 1 + e^{-\lambda}",
        ),
    )
