"""A Check: a statement, the size of its worst violation, and a control.

The control is the same measurement where the statement must fail. If the control holds too, the check says nothing.
"""

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
STILL: tuple[str, Violations] = ("nothing moved", [0.0])  # a control that holds: the check that takes it is void


class CheckError(CudfkdError):
    """Raised where a statement does not hold, or where its control holds."""


@dataclass(frozen=True)
class Control:
    """The same measurement with one hypothesis left out, where the statement must fail.

    name: the hypothesis that is left out, or the change that breaks the statement.
    holds: must be False; True means that the check could not have failed.
    violation: the control's largest violation.
    """

    name: str
    holds: bool
    violation: float


@dataclass(frozen=True)
class Check:
    """The measurement of one statement.

    name: a short name.
    statement: a sentence with the formula.
    theorem: "T1" ... "T14" or "T5'"; "axioms" or "table" for the regularizers themselves.
    holds: worst_violation <= tolerance.
    worst_violation: the largest of n violations; <= 0 means that the statement held with room.
    tolerance: the largest violation that still counts as holding.
    n: number of violations measured.
    exact: True for a claim that holds up to rounding; False for a statistical claim.
    control: the measurement that must fail.
    claims: the paper's claims on which the check bears.
    by_construction: True if the code cannot violate the statement: the check tests the code and is no evidence.
    undecided: True if the data are compatible with the statement and with its opposite: a statistical claim that is
        neither shown nor refuted.
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
    undecided: bool = False

    @property
    def passed(self) -> bool:
        """Whether the statement holds and its control does not."""
        return self.holds and not self.control.holds

    @property
    def verdict(self) -> str:
        """The word for a table.

        "holds", "fails"; "void": the control holds too, so nothing was tested; "undecided": too few data to say.
        """
        if self.control.holds:
            return "void"
        if self.undecided:
            return "undecided"
        return "holds" if self.holds else "fails"

    @property
    def kind(self) -> str:
        """The kind of claim: "exact", "statistical", or "by construction" (a test of the code, no evidence)."""
        if self.by_construction:
            return "by construction"
        return "exact" if self.exact else "statistical"

    def to_dict(self) -> dict:
        """Plain data for result.json. A violation that is not finite becomes a string: JSON has no infinity or NaN."""
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
    refuted: bool = True,
) -> Check:
    """Judges a statement by its violations, and its control by the control's violations.

    Arguments:
        name, statement, theorem: as in `Check`.
        violations: one number per case, which must be <= tolerance; NaN counts as violated.
        control: the name of the left-out hypothesis, and the violations without it; the worst of these violations must
            exceed the tolerance.
        tolerance, exact, claims, by_construction: as in `Check`.
        refuted: whether a violation refutes the statement; False: a violation leaves it undecided.

    Raises:
        ConfigError: no violation at all, a negative tolerance, or violations in a precision that cannot resolve it.
    """
    validate.at_least("tolerance", tolerance, 0)
    values = _vector(name, violations, tolerance)
    control_values = _vector(f"the control of {name}", control[1], tolerance)
    # NaN passes through max; + 0.0 turns -0.0 into 0
    worst, control_worst = float(values.max()) + 0.0, float(control_values.max()) + 0.0
    measured_control = Control(control[0], not control_worst > tolerance, control_worst)
    holds = worst <= tolerance
    return Check(name, statement, theorem, holds, worst, tolerance, len(values), exact, measured_control, claims,
                 by_construction, undecided=not holds and not refuted)  # fmt: skip


def table(checks: Iterable[Check]) -> pd.DataFrame:
    """One row per check: theorem, verdict, worst violation, tolerance, n, control, the control's violation, kind.

    Raises:
        ConfigError: there is no check.
    """
    rows = [
        {"check": result.name, "theorem": result.theorem, "verdict": result.verdict,
         "worst violation": result.worst_violation, "tolerance": result.tolerance, "n": result.n,
         "control": result.control.name, "control's violation": result.control.violation, "kind": result.kind}
        for result in _some(checks)
    ]  # fmt: skip
    return pd.DataFrame(rows).set_index("check")


def require(checks: Iterable[Check]) -> None:
    """Demands that every check holds and that every control fails.

    Raises:
        CheckError: some checks did not pass; the message names them.
        ConfigError: there is no check.
    """
    results = _some(checks)
    failed = [_failed(result) for result in results if not result.passed]
    if failed:
        raise CheckError(f"{len(failed)} checks did not pass: {', '.join(failed)}")


def failures(checks: Iterable[Check], findings: Mapping[str, bool]) -> list[str]:
    """The failures that count: exact checks that fail or are void, and findings that are false.

    Arguments:
        checks: statistical checks are passed over: they may fail.
        findings: by name, facts that must be true and have no measure.

    Returns:
        One line per failure; the line of a check states its worst violation.
    """
    wrong = [_failed(result) for result in checks if result.exact and not result.passed]
    return wrong + [f"{name} (false)" for name, holds in findings.items() if not holds]


def merge(checks: Iterable[Check]) -> Check:
    """One check out of several: the worst violation, the weakest control, the sum of n.

    Each violation is judged by the tolerance of its own check. The result is exact if all checks are exact, and by
    construction if all are by construction.

    Raises:
        ConfigError: there is no check.
    """
    results = _some(checks)
    worst = max(results, key=lambda result: (not result.holds, _badness(result.worst_violation)))
    weakest = max(
        (result.control for result in results), key=lambda result: (result.holds, -_badness(result.violation))
    )
    failed = [result for result in results if not result.holds]
    return Check(worst.name, worst.statement, worst.theorem, not failed, worst.worst_violation, worst.tolerance,
                 sum(result.n for result in results), all(result.exact for result in results), weakest, worst.claims,
                 all(result.by_construction for result in results),
                 bool(failed) and all(result.undecided for result in failed))  # fmt: skip


def _some(checks: Iterable[Check]) -> list[Check]:
    results = list(checks)
    validate.count("number of checks", len(results))
    return results


def _failed(result: Check) -> str:
    return f"{result.name} ({result.verdict}, worst {result.worst_violation:g})"


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
