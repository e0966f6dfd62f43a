"""A Check: a statement, how badly it was violated, and a control that must be violated, or the check says nothing."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from math import isfinite

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from analysis.checks import validate
from cudfkd.base.errors import CudfkdError

Violations = float | Tensor | np.ndarray | Iterable[float]


class CheckError(CudfkdError):
    """A statement did not hold, or its control did."""


@dataclass(frozen=True)
class Control:
    """The same measurement where the statement must fail: one hypothesis left out.

    name: what was left out.
    holds: must be False; True means that the check could not have failed.
    violation: how badly it fails.
    """

    name: str
    holds: bool
    violation: float


@dataclass(frozen=True)
class Check:
    """What was measured about one statement.

    name, statement: a short name, and a sentence with the formula.
    theorem: "T1" ... "T9" or "T5'"; "axioms" or "table" for the regularizers themselves.
    holds: worst_violation <= tolerance.
    worst_violation: the largest of n violations; <= 0 means that it held with room.
    exact: True for a claim that holds up to rounding; False for a statistical one.
    control: what must fail.
    claims: of the paper, on which it bears.
    by_construction: the code cannot violate it: a test of the code, no evidence.
    """

    name: str
    statement: str
    theorem: str
    holds: bool
    worst_violation: float
    tolerance: float
    n: int
    exact: bool
    control: Control
    claims: tuple[str, ...] = ("C4",)
    by_construction: bool = False

    @property
    def passed(self) -> bool:
        """It holds, and its control does not."""
        return self.holds and not self.control.holds

    @property
    def verdict(self) -> str:
        """ "holds", "fails", or "void": the control holds too, so nothing was tested."""
        if self.control.holds:
            return "void"
        return "holds" if self.holds else "fails"

    @property
    def kind(self) -> str:
        """ "exact", "statistical", or "by construction": then it is a test of the code and no evidence."""
        if self.by_construction:
            return "by construction"
        return "exact" if self.exact else "statistical"

    def to_dict(self) -> dict:
        """Plain data for result.json; a violation that is not finite becomes its name, as JSON has no such number."""
        plain = asdict(self) | {"verdict": self.verdict, "claims": list(self.claims)}
        plain["worst_violation"] = _plain(self.worst_violation)
        plain["control"]["violation"] = _plain(self.control.violation)
        return plain


def check(
    name: str,
    statement: str,
    theorem: str,
    violations: Violations,
    control: tuple[str, Violations],
    *,
    tolerance: float = 1e-10,
    exact: bool = True,
    claims: tuple[str, ...] = ("C4",),
    by_construction: bool = False,
) -> Check:
    """Judges violations (numbers that must be <= tolerance; NaN counts as violated) against those of a control.

    Arguments:
        violations: one per case.
        control: what was left out, and the violations without it, of which the worst must exceed the tolerance.

    Raises:
        ConfigError: no violation at all, a negative tolerance, or violations in a precision that cannot resolve it.
    """
    validate.at_least("tolerance", tolerance, 0)
    values = _vector(name, violations, tolerance)
    without = _vector(f"the control of {name}", control[1], tolerance)
    worst, unhinged = float(values.max()) + 0.0, float(without.max()) + 0.0  # max hands NaN on; + 0.0 turns -0.0 into 0
    judged = Control(control[0], not unhinged > tolerance, unhinged)
    return Check(name, statement, theorem, worst <= tolerance, worst, tolerance, len(values), exact, judged, claims,
                 by_construction)  # fmt: skip


def table(checks: Iterable[Check]) -> pd.DataFrame:
    """A row a check: theorem, verdict, worst violation, tolerance, n, its control and how badly that fails."""
    rows = [
        {"check": one.name, "theorem": one.theorem, "verdict": one.verdict, "worst violation": one.worst_violation,
         "tolerance": one.tolerance, "n": one.n, "control": one.control.name,
         "control's violation": one.control.violation, "kind": one.kind}
        for one in _some(checks)
    ]  # fmt: skip
    return pd.DataFrame(rows).set_index("check")


def require(checks: Iterable[Check]) -> None:
    """Raises CheckError, naming them, unless all hold and all their controls fail; ConfigError if there is none."""
    many = _some(checks)
    failed = [_failed(one) for one in many if not one.passed]
    if failed:
        raise CheckError(f"{len(failed)} checks did not pass: {', '.join(failed)}")


def failures(checks: Iterable[Check], findings: Mapping[str, bool]) -> list[str]:
    """What may not fail and did: exact checks that fail or are void, with their number, and findings that are false.

    findings: yes or no by name, of what must be true and has no measure.
    """
    wrong = [_failed(one) for one in checks if one.exact and not one.passed]
    return wrong + [f"{name} (false)" for name, holds in findings.items() if not holds]


def merge(checks: Iterable[Check]) -> Check:
    """One check out of several: the worst of the violations, the weakest of the controls, exact if all are.

    A violation is judged by its own check's tolerance. Raises ConfigError if there is no check.
    """
    many = _some(checks)
    worst = max(many, key=lambda one: (not one.holds, _badness(one.worst_violation)))
    weakest = max((one.control for one in many), key=lambda one: (one.holds, -_badness(one.violation)))
    held = all(one.holds for one in many)
    return Check(worst.name, worst.statement, worst.theorem, held, worst.worst_violation, worst.tolerance,
                 sum(one.n for one in many), all(one.exact for one in many), weakest, worst.claims,
                 all(one.by_construction for one in many))  # fmt: skip


def _some(checks: Iterable[Check]) -> list[Check]:
    many = list(checks)
    validate.count("number of checks", len(many))
    return many


def _failed(one: Check) -> str:
    return f"{one.name} ({one.verdict}, worst {one.worst_violation:g})"


def _badness(violation: float) -> float:
    return violation if violation == violation else np.inf


def _vector(name: str, values: Violations, tolerance: float) -> np.ndarray:
    plain = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else values
    vector = np.asarray(plain if isinstance(plain, np.ndarray | float | int) else list(plain)).ravel()
    if vector.size == 0:
        validate.refuse(f"the number of violations of {name}", 0, "1 or more")
    if vector.dtype.kind not in "fiub":
        validate.refuse(f"violations of {name}", values, "numbers")
    if vector.dtype in (np.float16, np.float32):
        validate.resolves(tolerance, **{f"violations of {name}": torch.from_numpy(vector)})
    return vector.astype(np.float64)


def _plain(value: float) -> float | str:
    return value if isfinite(value) else str(value)
