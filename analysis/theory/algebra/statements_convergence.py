"""T10 and T11: how close a student stays to a moving objective, and how fast it fits all samples."""

import sympy as sp

from analysis.theory.algebra.proof import by_hand, identity
from analysis.theory.algebra.theorem import Theorem, needs

_eta, _L, _square, _noise, _beta, _mu, _least = sp.symbols("eta L |grad|^2 sigma^2/B beta mu v_min", positive=True)


def t10() -> Theorem:
    """T10: tracking."""
    phi = sp.symbols("Phi_k Phi_s Phi_l Phi_n")  # before the step, after the student, after lambda, after the samples
    m, turn, room = sp.symbols("m' dm", real=True) + (sp.Symbol("c", positive=True),)
    best = (1 - _beta) ** 2 / room + 2 * _beta
    square = ((1 - _beta) * sp.sqrt(_beta / (2 * room)) * turn - sp.sqrt(2 * _beta * room) * m) ** 2
    speed = sp.Symbol("dy", positive=True)
    return Theorem(
        "T10",
        "tracking",
        r"\sum_{k<K}\frac{\eta_k}{\kappa_k}\|\nabla\Phi_k(\theta_k)\|^2 \le \Phi_0 - \mathcal{H}_K + "
        r"\sum_{k<K}\Lambda_k + "
        r"\sum_{k<K}\Gamma_k,\quad \kappa_k = \frac{(1-\beta)^2}{1 - \beta - L\eta_k/2} + 2\beta",
        (
            needs(
                r"one step moves the student, then $\lambda$, then the samples, and nothing else moves; $\Phi_k$ is "
                r"the objective before step $k$",
                "the samples' part left out",
            ),
            needs(r"the hypotheses of T1 for every $\Phi_k$", "convex F", "hard in the matrix"),
            needs(
                r"$Q_k(\cdot \mid \theta_k)$ has curvature at most $L$ in T3's sense on the segment of each step, for "
                r"all samples that the student meets",
                "L half as large",
            ),
            needs(
                r"$m_{k+1} = \beta m_k + \nabla\Phi_k(\theta_k)$, $\theta_{k+1} = \theta_k - \eta_k m_{k+1}$; "
                r"$\beta = 0$ is gradient descent, where $\mathcal{H} = \Phi$"
            ),
            needs("$m_0 = 0$", "momentum at the start"),
            needs(r"for $\beta > 0$: $\eta_k$ does not grow", "steps grow"),
            needs(
                r"$0 < \eta_k < 2 (1 - \beta) / L$, so that every $\kappa_k$ is positive",
                "step too large",
            ),
            needs(
                r"for batches: the hypotheses of T7 at every step; $\sigma_k^2 / B$ is the expected squared distance "
                r"of a batch's gradient from $\nabla\Phi_k$",
                "noise left out",
            ),
        ),
        r"A step changes $\Phi$ in three parts, and only the student's part must fall. By T8's identity "
        r"$\mathcal{H}_k - \mathcal{H}_{k+1} + \Lambda_k + \Gamma_k \ge "
        r"\eta_k (c_k\,m'^2 + \tfrac\beta2 (\Delta m)^2)$ with $c_k = 1 - \beta - L\eta_k/2$, $m' = m_{k+1}$ and "
        r"$\Delta m = m_{k+1} - m_k$. The gradient is $(1 - \beta)\,m' + \beta\,\Delta m$, and Cauchy and Schwarz "
        r"compare its square with the bracket. Sum over $k$. As "
        r"$\mathcal{H}_K \ge 0$, for $\beta = 0$ and $\eta = 1/L$ the mean squared gradient is at most "
        r"$2L\,(\Phi_0/K + \overline{\Lambda} + \overline{\Gamma})$: parts whose sum is $o(K)$ do no harm, and a "
        r"constant drift leaves a floor. No sign of $\Lambda$ or $\Gamma$ is assumed. The bound is attained by the "
        r"square loss of a target that moves evenly, and nearly attained for every $\beta$.",
        (
            identity(
                "one step",
                "The change of the objective by a step has three parts.",
                phi[0] - phi[3],
                (phi[0] - phi[1]) - (phi[2] - phi[1]) - (phi[3] - phi[2]),
                latex=r"\Phi_k(\theta_k) - \Phi_{k+1}(\theta_{k+1}) = "
                r"\left[\Phi_k(\theta_k) - \Phi_k(\theta_{k+1})\right] - \Lambda_k - \Gamma_k",
            ),
            identity(
                "gradient by momenta",
                "The slack in the inequality of Cauchy and Schwarz is a square (one coordinate stands for all).",
                best * (room * m**2 + _beta * turn**2 / 2) - ((1 - _beta) * m + _beta * turn) ** 2,
                square,
                latex=r"\left(\tfrac{(1-\beta)^2}{c_k} + 2\beta\right)"
                r"\left(c_k\,m'^2 + \tfrac\beta2 (\Delta m)^2\right) - "
                r"\left((1-\beta)\,m' + \beta\,\Delta m\right)^2 = "
                r"\left((1-\beta)\sqrt{\tfrac{\beta}{2c_k}}\,\Delta m - \sqrt{2\beta c_k}\,m'\right)^2 \ge 0",
            ),
            identity(
                "without momentum",
                r"At $\beta = 0$ and $\eta = 1/L$ the constant is $2L$.",
                (best.subs(_beta, 0).subs(room, 1 - _L * _eta / 2) / _eta).subs(_eta, 1 / _L),
                2 * _L,
                latex=r"\frac{\kappa}{\eta} = \frac{1}{\eta\,(1 - L\eta/2)} = 2L",
            ),
            identity(
                "attained",
                r"$\Phi = L (\theta - y)^2 / 2$, and the target $y$ moves by $\Delta y$ a step: with $\eta = 1/L$ the "
                r"student stands on the old target, the gradient is always $L\,\Delta y$, and the drift is "
                r"$L (\Delta y)^2 / 2$.",
                2 * _L * (_L * speed**2 / 2),
                (_L * speed) ** 2,
                latex=r"2L\,\overline{\Gamma} = 2L \cdot \tfrac{L (\Delta y)^2}{2} = (L\,\Delta y)^2 = "
                r"\|\nabla\Phi_k\|^2",
            ),
            identity(
                "batches",
                r"A batch moves by $m' + \xi$, where $m' = \beta m_k + \nabla\Phi_k$ and $\xi$ has the mean 0 and the "
                r"mean square $\sigma_k^2 / B$: the bounds of $\Phi$ and of the kinetic part grow by the following "
                r"term.",
                _L * _eta**2 * (m**2 + _noise) / 2 + _beta * _eta * (m**2 + _noise) / 2,
                _L * _eta**2 * m**2 / 2 + _beta * _eta * m**2 / 2 + _eta * (_L * _eta + _beta) * _noise / 2,
                latex=r"\sum_{k<K}\frac{\eta_k}{\kappa_k}\,\mathbb{E}\|\nabla\Phi_k\|^2 \le "
                r"\mathbb{E}\Big[\Phi_0 - \mathcal{H}_K + \sum_{k<K}\Lambda_k + \sum_{k<K}\Gamma_k\Big] + "
                r"\sum_{k<K}\frac{\eta_k}{2}\left(L\eta_k + \beta\right)\frac{\sigma_k^2}{B}",
                reason=r"With momentum a short step does not remove the noise: $\beta$ stays. An analysis that removes "
                r"it needs a bound on the curvature of $\Phi$ from both sides.",
            ),
        ),
        "Popkov (2005) and Besbes, Gur and Zeevi (2015) on descent for objectives that move; Zavriev and Kostyuk "
        "(1993) for the energy. New here: the split into lambda and samples for self-paced weights, and the constant "
        "for momentum",
        ("C3", "C4"),
        notebook="09",
    )


def t11() -> Theorem:
    """T11: linear rate of an interpolating student."""
    growth = sp.Symbol("rho", positive=True)
    phi, count = sp.symbols("Phi B", positive=True)
    descended = phi - _eta * (1 - _L * _eta / 2) * (2 * _mu * _least**2 * phi)
    in_mean = phi - _eta * _square + _L * _eta**2 / 2 * growth * _square
    single, full = growth * _square, _square
    return Theorem(
        "T11",
        "linear rate of an interpolating student",
        r"\Phi_K \le \left(1 - 2\mu v_{\min}^2\,\eta\left(1 - \tfrac{L\eta}{2}\right)\right)^K \Phi_0,\quad "
        r"v_{\min} = v^*(M),\quad M = F^{-1}(n\,\Phi_0)",
        (
            needs(r"the samples and $\lambda$ are fixed", "drift cancels", "growth rises"),
            needs("there is no weight decay", "decay keeps Phi up"),
            needs(
                r"PL along the weights: $\left\|\tfrac1n\sum v_i\nabla\ell_i\right\|^2 \ge 2\mu "
                r"v_{\min}^2\,\tfrac1n\sum\ell_i$ for all weights $v_{\min} \le v_i \le 1$, wherever $\Phi \le \Phi_0$",
                "a valley without PL",
            ),
            needs(r"$n\,\Phi_0 < F(\infty)$: no sample is lost at the start", "hard is stuck"),
            needs("the hypotheses of T1", "convex F"),
            needs(
                r"$Q(\cdot \mid \theta_k)$ has curvature at most $L$ in T3's sense on the segment of each step",
                "L half as large",
            ),
            needs(r"$0 < \eta < 2/L$", "step too large"),
            needs(
                r"for batches: $\mathbb{E}\|\nabla\Phi_B\|^2 \le \rho\,\|\nabla\Phi\|^2$ (growth); then $L\rho$ takes "
                r"the "
                r"place of $L$, in expectation",
                "no growth: descent in the valley",
                "interpolation",
            ),
            needs(r"for batches: all losses of the path stay at most $M$, because $\Phi$ itself may rise"),
        ),
        r"$\Phi$ does not rise (T3), and one sample cannot cost more than all: $F(\ell_i) \le n\Phi_k \le n\Phi_0$. "
        r"So $\ell_i \le M$ and $v_i \ge v_{\min}$ on the whole path, without any assumption on it. PL, and $F(\ell) "
        r"\le "
        r"\ell$, give $\|\nabla\Phi\|^2 \ge 2\mu v_{\min}^2\Phi$, and T3 gives the factor of one step. The bound is "
        r"attained "
        r"at every step where all weights are 1 and all curvatures are equal. Linear least squares with a perfect fit "
        r"obeys PL with the smallest eigenvalue of $X^\top X/n$. The square loss of a network obeys it where the "
        r"tangent "
        r"kernel stays above $\mu$; the path is at most $2\sqrt{2L\Phi_0} / (\mu v_{\min}^2)$ long at $\eta = 1/L$, "
        r"so it needs to stay so in that ball only. The theorem says nothing about a student that cannot fit its "
        r"samples, about other samples, or about the KL divergence, whose modulus in the logits vanishes with the "
        r"teacher's smallest probability.",
        (
            identity(
                "one step",
                "PL in the bound of T3.",
                descended,
                (1 - 2 * _mu * _least**2 * _eta * (1 - _L * _eta / 2)) * phi,
                latex=r"\Phi - \eta\left(1 - \tfrac{L\eta}{2}\right) 2\mu v_{\min}^2\,\Phi = "
                r"\left(1 - 2\mu v_{\min}^2\eta\left(1 - \tfrac{L\eta}{2}\right)\right)\Phi",
            ),
            by_hand(
                "PL of linear least squares",
                r"$\ell_i = (x_i^\top\delta)^2/2$ with $\delta$ the distance from the fit, $V$ the weights on a "
                r"diagonal, "
                r"$X$ the matrix with the rows $x_i$, and $U = X^\top VX/n$.",
                r"\|\nabla\Phi\|^2 = \delta^\top U^2 \delta \ge \operatorname{eig}_{\min}(U)\;\delta^\top U\,\delta "
                r"\ge "
                r"v_{\min}\mu \cdot \tfrac2n\textstyle\sum v_i\ell_i \ge "
                r"2\mu v_{\min}^2\,\tfrac1n\textstyle\sum\ell_i",
                r"The smallest eigenvalue of $U$ is at least that of $v_{\min}\,X^\top X/n$ because "
                r"$v_i \ge v_{\min}$; and $v_i \ge v_{\min}$ once more in the last step.",
            ),
            by_hand(
                "PL of a wide network",
                r"$\ell_i = \varepsilon_i^2/2$ with residuals $\varepsilon$, $V$ the weights on a diagonal, and a "
                r"tangent "
                r"kernel $(\partial\varepsilon)(\partial\varepsilon)^\top/n$ of smallest eigenvalue at least $\mu$; "
                r"$\partial\varepsilon$ is the Jacobian in $\theta$.",
                r"\|\nabla\Phi\|^2 = \tfrac1{n^2}\|(\partial\varepsilon)^\top V\varepsilon\|^2 \ge "
                r"\tfrac{\mu}{n}\|V\varepsilon\|^2 = 2\mu\,\tfrac1n\textstyle\sum v_i^2\ell_i \ge "
                r"2\mu v_{\min}^2\,\tfrac1n\textstyle\sum\ell_i",
                "The kernel needs $n$ parameters at least, and it must keep its smallest eigenvalue along the path.",
            ),
            by_hand(
                "length of the path",
                r"$\|\nabla\Phi\|^2 \le 2L\Phi$, because a step of $1/L$ cannot lower $\Phi$ below 0.",
                r"\sum_k \tfrac1L\|\nabla\Phi_k\| \le \tfrac1L\sqrt{2L\Phi_0}\sum_k \left(1 - \tfrac{\mu "
                r"v_{\min}^2}{L}\right)^{k/2} \le \frac{2\sqrt{2L\Phi_0}}{\mu v_{\min}^2}",
                r"$1 - \sqrt{1 - u} \ge u/2$ for $0 \le u \le 1$.",
            ),
            identity(
                "batches",
                r"Growth in the bound of T7.",
                in_mean,
                phi - _eta * (1 - _L * growth * _eta / 2) * _square,
                latex=r"\Phi - \eta \|\nabla\Phi\|^2 + \tfrac{L\eta^2}{2}\rho \|\nabla\Phi\|^2 = "
                r"\Phi - \eta\left(1 - \tfrac{L\rho\eta}{2}\right) \|\nabla\Phi\|^2",
            ),
            identity(
                "growth of a batch",
                r"A batch of $B$ drawn with replacement, if $\rho$ is the growth of one sample: "
                r"$\mathbb{E}\|v_i\nabla\ell_i\|^2 \le \rho\,\|\nabla\Phi\|^2$.",
                single / count + (1 - 1 / count) * full,
                (1 + (growth - 1) / count) * _square,
                latex=r"\mathbb{E}\|\nabla\Phi_B\|^2 = \tfrac1B\,\mathbb{E}\|v_i\nabla\ell_i\|^2 + "
                r"\left(1 - \tfrac1B\right) \|\nabla\Phi\|^2 \le "
                r"\left(1 + \tfrac{\rho - 1}{B}\right) \|\nabla\Phi\|^2",
            ),
            by_hand(
                "PL gives growth",
                r"If each loss has curvature at most $L_{\max}$, then $\rho = L_{\max} / (\mu v_{\min}^2)$ for one "
                r"sample.",
                r"\mathbb{E}\|v_i\nabla\ell_i\|^2 = \tfrac1n\textstyle\sum v_i^2\|\nabla\ell_i\|^2 \le "
                r"2L_{\max}\,\tfrac1n\textstyle\sum\ell_i \le \frac{L_{\max}}{\mu v_{\min}^2}\|\nabla\Phi\|^2",
                r"$\|\nabla\ell_i\|^2 \le 2L_{\max}\ell_i$ for a loss that is never negative. A perfect fit alone is "
                r"not enough: $\ell = (\theta_2 \pm \theta_1^2)^2/2$ has one, and no growth.",
            ),
        ),
        "Polyak (1963); Karimi, Nutini and Schmidt (2016); Vaswani, Bach and Schmidt (2019) for growth; Liu, Zhu and "
        "Belkin (2022) for wide networks. New here: the bound of the path by the latent loss itself",
        notebook="08",
    )
