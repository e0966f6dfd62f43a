"""The paper's claims. Each has two verdicts: as claimed, on the paper's own data and scale; and here, by our checks.

Words of a verdict: proved, supported, not supported, inconclusive, out of reach, not tested yet. A claim gets
"supported" at most. Only theorems are proved, and a live run may break their hypotheses.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.checks import Check

SCALE = "needs the paper's data, networks and training length, and the methods it is compared with"
LIVE = "in recorded runs of 300 student steps over ten seeds, LeNet-5 on Fashion-MNIST; nothing else was tried"
SMALL = "LeNet-5 to its half on Fashion-MNIST; larger networks and other data may decide otherwise"
COMPARED = f"in recorded runs of 2,500 student steps over ten seeds and three teachers, {SMALL}"


@dataclass(frozen=True)
class Claim:
    """A claim of the paper.

    id: "C1" ... "C9".
    text: the claim in our words, from the paper's two abstracts and its repository.
    needs: why the claim is out of reach as claimed.
    theory: True if exact checks can decide it. A claim about training needs trained runs, and they are statistical.
    scope: the limits of a verdict here.
    """

    id: str
    text: str
    needs: str = SCALE
    theory: bool = False
    scope: str = ""


@dataclass(frozen=True)
class Verdict:
    """A judgement of a claim.

    word: the verdict.
    basis: the reason for it.
    """

    word: str
    basis: str


CLAIMS = (
    Claim(
        "C1",
        "Earlier methods train inadequately and unstably, as their generation target ignores the student.",
        scope=f"in recorded runs of 2,500 student steps over ten seeds and one teacher, {SMALL}; only methods with a "
        "term for the student can be run without it",
    ),
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
    Claim("C5", "Accuracy is comparable to the state of the art on all data sets.", scope=COMPARED),
    Claim("C6", "It converges fastest (90 % on CIFAR-10 within 30 epochs).", scope=COMPARED),
    Claim(
        "C7",
        "It is the most robust: highest mean and lowest variance of accuracy over training; noisy teachers.",
        scope=f"{COMPARED}; noisy teachers were not tried",
    ),
    Claim("C8", "It is the most faithful to the teacher: agreement, probability loyalty.", scope=COMPARED),
    Claim(
        "C9",
        "95.28 % for ResNet-34 to ResNet-18 on CIFAR-10, better than training from scratch with data.",
        scope=COMPARED,
    ),
)


def as_claimed(claim: Claim) -> Verdict:
    """The verdict on a claim as the paper makes it: out of reach for every claim.

    It stays so until a notebook measures a claim on the paper's own data and scale.
    """
    return Verdict("out of reach", claim.needs)


def here(claim: Claim, checks: Sequence[Check]) -> Verdict:
    """The verdict of the checks that bear on a claim. The first line that applies counts.

    A check that holds by construction is no evidence.

        "not tested yet"   no check bears on the claim
        "not supported"    a check fails
        "inconclusive"     a check is void or undecided; or a claim about training has only exact checks, none of them
                           measured over runs
        "supported"        all checks hold
    """
    evidence = [check for check in checks if claim.id in check.claims and not check.by_construction]
    if not evidence:
        return Verdict("not tested yet", "no current check bears on it")
    for verdict, word in (("fails", "not supported"), ("void", "inconclusive"), ("undecided", "inconclusive")):
        wrong = [check.name for check in evidence if check.verdict == verdict]
        if wrong:
            basis = f"{len(wrong)} of {len(evidence)} checks: {verdict}: {', '.join(wrong)}"
            return Verdict(word, _within(claim, basis))
    exact = sum(check.exact for check in evidence)
    theorems = ", ".join(sorted({check.theorem for check in evidence}))
    basis = f"{exact} exact and {len(evidence) - exact} statistical checks hold ({theorems})"
    if not claim.theory and exact == len(evidence):
        return Verdict("inconclusive", f"{basis}, none of them measured over trained runs")
    return Verdict("supported", _within(claim, basis))


def sentence(name: str, checks: Sequence[Check]) -> str:
    """A claim and its verdict here with its basis, in a line. name: "C1" ... "C9"."""
    claim = next(claim for claim in CLAIMS if claim.id == name)
    verdict = here(claim, checks)
    return f"{name}, {claim.text} Here: {verdict.word}; {verdict.basis}."


def _within(claim: Claim, basis: str) -> str:
    return f"{basis}; {claim.scope}" if claim.scope else basis
