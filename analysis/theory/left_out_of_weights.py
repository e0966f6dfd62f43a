"""Counterexamples in which one hypothesis of T9, T13 or T14 is left out: the shape of the weight, of f, or of F."""

from dataclasses import dataclass

import torch
from torch import Tensor

from analysis.theory import bias
from analysis.theory.bias import Price
from analysis.theory.distribution import curriculum
from analysis.theory.equivalence import Pair, activity_bound, rise, tp2
from analysis.theory.toys.controls import ConvexLoss
from analysis.theory.toys.counterexample import Counterexample
from cudfkd.regularizers import Logistic


def hard_sample_weighs_more() -> Counterexample:
    """The hard sample weighs more than the easy one, and ever more: TP2 holds, and Pi leaves P (T9, T13)."""
    pair = Pair(easy=0.5, hard=0.6, easy_late=0.5, hard_late=0.9, share=0.5)
    numbers = {"determinant of TP2": tp2(pair), "KL rises by": rise(pair, "KL")}
    return Counterexample("the hard sample weighs more", "TP2 alone brings Q to P", "T9",
                          "weights (0.5, 0.6), then (0.5, 0.9), an even P", numbers)  # fmt: skip


def all_weights_fall() -> Counterexample:
    """All weights fall from 1 to 1/2: TP2 holds, Pi stays P, and the mean weight falls (T9 without v*(0) = 1)."""
    pair = Pair(easy=1.0, hard=1.0, easy_late=0.5, hard_late=0.5, share=0.5)
    numbers = {"determinant of TP2": tp2(pair), "KL rises by": rise(pair, "KL"), "alpha before": 1.0, "after": 0.5}
    return Counterexample("all weights fall", "under TP2 the mean weight grows", "T9",
                          "weights (1, 1), then (0.5, 0.5)", numbers)  # fmt: skip


def student_moves_on() -> Counterexample:
    """The student learns while lambda grows: the mean loss under Pi falls (T9 without a fixed student)."""
    before, after = curriculum("log", 1.0, [1.0, 3.0]), curriculum("log", 2.0, [0.1, 0.3])
    numbers = {"E_Pi l before": before.mean_loss, "after": after.mean_loss}
    return Counterexample("the student moves on", "the lessons of a live run get harder", "T9",
                          "losses (1, 3) at lambda 1, then (0.1, 0.3) at lambda 2", numbers)  # fmt: skip


def kinked_divergence() -> Counterexample:
    """A divergence that is straight around 1 sees nothing of a pair that breaks TP2 (T13 without a strict f)."""
    pair = Pair(easy=0.9, hard=0.8, easy_late=0.9, hard_late=0.6, share=0.5)
    numbers = {"determinant of TP2": tp2(pair), "(r - 1.5)+ rises by": rise(pair, "kinked"),
               "KL rises by": rise(pair, "KL")}  # fmt: skip
    return Counterexample("a kinked divergence", "any divergence shows where TP2 fails", "T13",
                          "weights (0.9, 0.8), then (0.9, 0.6), an even P", numbers)  # fmt: skip


def concave_generator() -> Counterexample:
    """A concave f turns the theorem round: -chi^2 rises for weights that are TP2 (T9, T13)."""
    pair = Pair(easy=0.9, hard=0.1, easy_late=0.9, hard_late=0.8, share=0.5)
    numbers = {"determinant of TP2": tp2(pair), "-chi^2 rises by": -rise(pair, "chi2")}
    return Counterexample("a concave f", "every div_f falls under TP2", "T13",
                          "weights (0.9, 0.1), then (0.9, 0.8), an even P", numbers)  # fmt: skip


def weight_of_two() -> Counterexample:
    """The weights 0 and 2 have the mean 1, at which the bound by the activity is 0 (T13 without v <= 1)."""
    ratios = torch.tensor([0.0, 2.0], dtype=torch.float64)  # the mean weight is 1
    numbers = {"KL": float(torch.xlogy(ratios, ratios).mean()), "bound": activity_bound("KL", 1.0)}
    return Counterexample("a weight of 2", "the mean weight bounds every divergence", "T13",
                          "weights (0, 2), an even P", numbers)  # fmt: skip


@dataclass(frozen=True)
class Steep(Logistic):
    """Twice the latent loss of log. It breaks F(l) <= l, and its minimisers are log's."""

    def _latent(self, loss: Tensor, lam: Tensor) -> Tensor:
        return 2 * super()._latent(loss, lam)


def convex_price() -> Counterexample:
    """A convex F makes the factor M / F(M) smaller than 1, which no price can be (T14 without concavity)."""
    choices = torch.tensor([[2.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    return _unpaid("a convex F", "F need not be concave", "F = l + l^2 / 2, the losses (2, 0) or (1, 1)",
                   bias.among(ConvexLoss(), 1.0, choices))  # fmt: skip


def steep_price() -> Counterexample:
    """Twice the latent loss halves the factor M / F(M), and leaves the minimiser where it is (T14 without F <= l)."""
    choices = torch.ones(1, 2, dtype=torch.float64)
    return _unpaid("F twice as steep", "F need not lie below the loss", "2 F of log, lambda 2, the losses (1, 1)",
                   bias.among(Steep(), 2.0, choices))  # fmt: skip


def negative_penalty() -> Counterexample:
    """A negative R makes the least J negative, and the bound lies below the least J (T14 without R >= 0)."""
    cost = float(Logistic().latent(torch.tensor([4.0], dtype=torch.float64), 0.5))
    price = Price(paid=0.0, least=-1.0, largest=4.0, bound=bias.factor("log", 0.5, 4.0))
    costs = {"Phi of the choice": cost - 4, "Phi of the other": -1.0}
    return _unpaid("a negative R", "R may have any sign", "l = 4 with R = -4, or l = 0 with R = -1; log, lambda 0.5",
                   price, **costs)  # fmt: skip


def _unpaid(name: str, refutes: str, setting: str, price: Price, **costs: float) -> Counterexample:
    numbers = {"J at the minimiser": price.paid, "M / F(M) inf J": price.bound * price.least, **costs}
    return Counterexample(name, refutes, "T14", setting, numbers)


ALL = (
    hard_sample_weighs_more, all_weights_fall, student_moves_on, kinked_divergence, concave_generator, weight_of_two,
    convex_price, steep_price, negative_penalty,
)  # fmt: skip
