"""The paper's claims, each with two verdicts: as claimed, on its own data and scale; and here, by the checks.

Words: proved, supported, not supported, inconclusive, out of reach; and "not tested yet". A claim is never more than
supported: what is proved are theorems, under hypotheses that a live run may break.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.checks import Check

SCALE = "needs the paper's data, networks and training length, and the methods it is compared with"
LIVE = "in recorded runs of 300 student steps over ten seeds, LeNet-5 on Fashion-MNIST; nothing else was tried"


@dataclass(frozen=True)
class Claim:
    """One claim.

    text: in our words, from the paper's two abstracts and its repository.
    theory: True if exact checks can decide it; a claim about training needs trained runs, which are statistical.
    needs: why it is out of reach as claimed.
    scope: what a verdict here does not cover.
    """

    id: str
    text: str
    needs: str = SCALE
    theory: bool = False
    scope: str = ""


@dataclass(frozen=True)
class Verdict:
    """A word, and what it rests on."""

    word: str
    basis: str


CLAIMS = (
    Claim("C1", "Earlier methods train inadequately and unstably, as their generation target ignores the student."),
    Claim("C2", "The pseudo samples go from easy to hard.", scope=LIVE),
    Claim("C3", "The generation target adapts to the student's status.", scope=LIVE),
    Claim(
        "C4",
        "A majorization-minimization analysis explains the convergence.",
        needs="the text of the paper's theorem is not at hand: the analysis is ours",
        theory=True,
        scope="the theorems for fixed samples, on toy problems and a small network; the trained runs with one small "
        "teacher; no theorem gives convergence while the generator moves",
    ),
    Claim("C5", "Accuracy is comparable to the state of the art on all data sets."),
    Claim("C6", "It converges fastest (90 % on CIFAR-10 within 30 epochs)."),
    Claim("C7", "It is the most robust: highest mean and lowest variance of accuracy over training; noisy teachers."),
    Claim("C8", "It is the most faithful to the teacher: agreement, probability loyalty."),
    Claim("C9", "95.28 % for ResNet-34 to ResNet-18 on CIFAR-10, better than training from scratch with data."),
)


def as_claimed(claim: Claim) -> Verdict:
    """Out of reach for every claim, until a notebook measures one on the paper's own data and scale."""
    return Verdict("out of reach", claim.needs)


def here(claim: Claim, checks: Sequence[Check]) -> Verdict:
    """What the checks that bear on a claim say.

    A check that holds by construction is no evidence. One that fails makes the claim not supported, a void one makes it
    inconclusive. A claim about training stays so while only exact checks bear on it, none being measured over runs.
    """
    evidence = [one for one in checks if claim.id in one.claims and not one.by_construction]
    if not evidence:
        return Verdict("not tested yet", "no current check bears on it")
    for verdict, word in (("fails", "not supported"), ("void", "inconclusive")):
        wrong = [one.name for one in evidence if one.verdict == verdict]
        if wrong:
            told = f"{len(wrong)} of {len(evidence)} checks: {verdict}: {', '.join(wrong)}"
            return Verdict(word, _within(claim, told))
    exact = sum(one.exact for one in evidence)
    through = ", ".join(sorted({one.theorem for one in evidence}))
    told = f"{exact} exact and {len(evidence) - exact} statistical checks hold ({through})"
    if not claim.theory and exact == len(evidence):
        return Verdict("inconclusive", f"{told}, none of them measured over trained runs")
    return Verdict("supported", _within(claim, told))


def _within(claim: Claim, told: str) -> str:
    return f"{told}; {claim.scope}" if claim.scope else told
