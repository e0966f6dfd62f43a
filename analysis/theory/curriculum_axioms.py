"""Checks of T9 over random losses and priors, and its failures without its hypotheses.

The step weight of `analysis.theory.toys.controls` obeys the axioms of self-paced learning, A1 to A3, and is not TP2.
So the axioms of self-paced learning do not imply the axioms of a curriculum.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import torch

from analysis.checks import Check, check, validate
from analysis.theory.distribution import DIVERGENCES, Curriculum, curriculum, random_problem
from analysis.theory.toys.controls import StepWeight
from analysis.theory.toys.counterexample import Counterexample
from cudfkd.regularizers import Regularizer

PACES = tuple(np.geomspace(0.3, 30, 12).tolist())
PACES_BELOW_ONE = tuple(np.linspace(0.1, 0.995, 12).tolist())  # for jiang-log

Statistic = Callable[[Curriculum], float]


def activity_grows(reg: Regularizer | str, problems: int = 8, seed: int = 0) -> Check:
    """T9 (i): alpha grows with lambda, for all losses and priors. The control lets lambda fall."""
    worst = _rises(reg, lambda q: -q.alpha, problems, seed)
    return check("mean weight grows", "alpha(lambda) does not fall as lambda grows", "T9", worst,
                 ("lambda falls", _rises("log", lambda q: q.alpha, 8, seed)), claims=("C2", "C4"))  # fmt: skip


def gets_harder(reg: Regularizer | str, problems: int = 8, seed: int = 0) -> Check:
    """T9 (ii): the mean loss under Pi grows with lambda. The control is jiang-log, which breaks the hypothesis."""
    worst = _rises(reg, lambda q: -q.mean_loss, problems, seed)
    return check("samples get harder", "E_Pi l does not fall as lambda grows", "T9", worst,
                 ("jiang-log", _rises("jiang-log", lambda q: -q.mean_loss, 8, seed)), claims=("C2", "C4"))  # fmt: skip


def approaches_prior(reg: Regularizer | str, problems: int = 8, seed: int = 0) -> Check:
    """T9 (iii): every f-divergence of `DIVERGENCES` from Pi to P falls. The control is jiang-log."""
    worst = [_rises(reg, _divergence(name), problems, seed) for name in DIVERGENCES]
    wrong = _rises("jiang-log", _divergence("KL"), 8, seed)
    return check("divergences fall", "div_f(Pi_lambda || P) does not grow with lambda", "T9", np.concatenate(worst),
                 ("jiang-log", wrong), claims=("C2", "C4"))  # fmt: skip


def entropy_grows(reg: Regularizer | str, problems: int = 8, seed: int = 0) -> Check:
    """T9 (iv): for a uniform P the entropy of Pi grows. The control uses uneven priors."""
    worst = _rises(reg, lambda q: -q.entropy, problems, seed, uniform=True)
    return check("entropy grows", "H(Pi_lambda) does not fall as lambda grows, P uniform", "T9", worst,
                 ("P not uniform", _rises("log", lambda q: -q.entropy, 8, seed)), claims=("C2", "C4"))  # fmt: skip


def totally_positive(reg: Regularizer | str, problems: int = 8, seed: int = 0) -> Check:
    """The hypothesis of T9: v*(l_1; lambda) v*(l_2; lambda') >= v*(l_2; lambda) v*(l_1; lambda') for l_1 < l_2 and
    lambda < lambda'. The control: the step weight."""
    reg = validate.known(reg)
    worst, wrong = ([_determinant(kind, seed + k) for k in range(problems)] for kind in (reg, StepWeight()))
    return check("weights are TP2", "v(l; L) v(l'; L') >= v(l'; L) v(l; L') for l < l', L < L'", "T9", worst,
                 ("a step weight", wrong), claims=("C2", "C4"))  # fmt: skip


def violations(reg: Regularizer | str, problems: int = 400, seed: int = 0) -> dict[str, int]:
    """For each statement of T9, the number of random (P, l) for which it fails somewhere along lambda.

    P is uneven, and uniform only for the last statement.
    """

    def count(statistic: Statistic, uniform: bool = False) -> int:
        each = np.array_split(_rises(reg, statistic, problems, seed, uniform), problems)
        return sum(bool((rises > 1e-10).any()) for rises in each)

    return {
        "alpha falls": count(lambda q: -q.alpha), "mean loss falls": count(lambda q: -q.mean_loss),
        "KL grows": count(_divergence("KL")), "chi2 grows": count(_divergence("chi2")),
        "entropy falls": count(lambda q: -q.entropy), "entropy falls, P uniform": count(lambda q: -q.entropy, True),
    }  # fmt: skip


def entropy_falls() -> Counterexample:
    """P = (0.1 at l = 0.1, 0.9 at l = 3): as lambda grows, the entropy of Pi falls towards the entropy of P.

    At the same time KL falls and E_Pi l grows.
    """
    lams = (1e-9, 0.5, 1.0, 2.0, 4.0, 8.0)
    rows = [curriculum("log", lam, [0.1, 3.0], [0.1, 0.9]) for lam in lams]
    numbers = {f"H at {lam:.2g}": q.entropy for lam, q in zip(lams, rows, strict=True)}
    ends = {"KL first": rows[0].divergence("KL"), "KL last": rows[-1].divergence("KL"),
            "E_Pi l first": rows[0].mean_loss, "E_Pi l last": rows[-1].mean_loss}  # fmt: skip
    return Counterexample("entropy falls", "the entropy of Pi grows for every prior", "T9",
                          "two samples, the hard one nine times as frequent", numbers | ends)  # fmt: skip


def axioms_do_not_suffice() -> Counterexample:
    """The step weight obeys A1 to A3 and P is uniform, yet the entropy falls from ln 2 to 0.06."""
    easy, late = (curriculum(StepWeight(), lam, [2.0, 9.0]) for lam in (1.0, 3.0))
    numbers = {"H at lambda 1": easy.entropy, "H at lambda 3": late.entropy,
               "KL at lambda 1": easy.divergence("KL"), "KL at lambda 3": late.divergence("KL")}  # fmt: skip
    return Counterexample("axioms do not suffice", "a self-paced regularizer makes a curriculum", "T9",
                          "losses 2 and 9, uniform P, a step weight", numbers)  # fmt: skip


def _divergence(name: str) -> Statistic:
    return lambda q: q.divergence(name)


def _paces(reg: Regularizer) -> Sequence[float]:
    return PACES_BELOW_ONE if reg.lam_below <= 1 else PACES


@lru_cache(maxsize=64)
def _path(reg: Regularizer, seed: int, uniform: bool = False) -> list[Curriculum]:
    """The distributions Pi along lambda for a random problem, for the lambdas at which some sample has weight."""
    losses, prior = random_problem(seed, uniform=uniform)
    alive = [lam for lam in _paces(reg) if bool((reg.weight(losses, lam) > 0).any())]
    return [curriculum(reg, lam, losses, prior) for lam in alive]


def _rises(reg: Regularizer | str, statistic: Statistic, problems: int, seed: int, uniform: bool = False) -> np.ndarray:
    """The rises of the statistic from each lambda to the next, relative to max(1, |statistic|); all problems joined."""
    regularizer, rises = validate.known(reg), []
    for path in (_path(regularizer, seed + k, uniform) for k in range(validate.count("problems", problems))):
        values = np.array([statistic(q) for q in path])
        rises.append(np.diff(values) / np.maximum(1, np.abs(values[:-1])))
    return np.concatenate(rises)


def _determinant(reg: Regularizer, seed: int) -> float:
    """The largest v(l_2; lambda) v(l_1; lambda') - v(l_1; lambda) v(l_2; lambda').

    Each pair of losses and each pair of lambdas are neighbours.
    """
    losses = random_problem(seed, 40)[0].sort().values
    table = torch.stack([reg.weight(losses, lam) for lam in _paces(reg)])
    early, late = table[:-1], table[1:]
    return float((early[:, 1:] * late[:, :-1] - early[:, :-1] * late[:, 1:]).max())
