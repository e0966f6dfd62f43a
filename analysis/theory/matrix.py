"""The matrix of theorems and regularizers: 150 cells, each with exact checks on random problems.

A cell has one of three verdicts:

    holds     the theorem holds
    changed   the theorem holds with another hypothesis, and a witness shows that the printed statement fails
    fails     the theorem fails: the check of the cell must find a violation

`analysis.theory.expected` lists the expected verdicts; `Matrix.agrees` compares them with the checks.
"""

from dataclasses import dataclass, replace
from functools import cache
from math import inf

import pandas as pd

from analysis.checks import Check, merge, validate
from analysis.theory import theorems
from analysis.theory.columns import COLUMNS
from analysis.theory.expected import EXPECTED, HOLDS, original
from cudfkd.regularizers import ALL


@dataclass(frozen=True)
class Cell:
    """One theorem for one regularizer.

    theorem: the name of the theorem.
    regularizer: the name of the regularizer.
    verdict: "holds", "changed" or "fails".
    reason: the reason of the verdict.
    check: the checks of all problems, merged.
    original: for "changed", the violation of the unchanged statement in its witness (inf: void); else None.
    """

    theorem: str
    regularizer: str
    verdict: str
    reason: str
    check: Check
    original: float | None = None

    @property
    def agrees(self) -> bool:
        """Whether the check confirms the verdict.

        For "fails" the check must fail. Otherwise it must pass with a failing control; for "changed" the unchanged
        statement must be violated, too.
        """
        if self.verdict == "fails":
            return self.check.verdict == "fails"
        return self.check.passed and (self.verdict != "changed" or (self.original or 0.0) > self.check.tolerance)

    def to_dict(self) -> dict:
        """Plain data for result.json."""
        original = str(self.original) if self.original == inf else self.original
        return {"theorem": self.theorem, "regularizer": self.regularizer, "verdict": self.verdict,
                "reason": self.reason, "original": original, "agrees": self.agrees,
                "check": self.check.to_dict()}  # fmt: skip


@dataclass(frozen=True)
class Matrix:
    """All cells.

    cells: one cell per theorem and regularizer.
    problems: the number of random problems behind each check.
    """

    cells: tuple[Cell, ...]
    problems: int

    @property
    def agrees(self) -> bool:
        """Whether every cell agrees with its expected verdict."""
        return all(entry.agrees for entry in self.cells)

    @property
    def worst(self) -> float:
        """The largest violation over the cells that hold or are changed."""
        return max(entry.check.worst_violation for entry in self.cells if entry.verdict != "fails")

    def by_theorem(self) -> tuple[Check, ...]:
        """One check per theorem for a scorecard: the worst over the regularizers for which it holds, changed or not."""
        merged = []
        for name in COLUMNS:
            check = merge(entry.check for entry in self.cells if entry.theorem == name and entry.verdict != "fails")
            merged.append(replace(check, name=f"{name}, every regularizer for which it holds"))
        return tuple(merged)

    def table(self) -> pd.DataFrame:
        """The verdicts: one row per regularizer, one column per theorem."""
        return self._pivot("verdict")

    def violations(self) -> pd.DataFrame:
        """The worst violations; at most 1e-10 where a cell holds. Rows and columns as in `table`."""
        rows = [{"regularizer": entry.regularizer, "theorem": entry.theorem, "worst": entry.check.worst_violation}
                for entry in self.cells]  # fmt: skip
        return self._ordered(pd.DataFrame(rows), "worst")

    def reasons(self) -> pd.DataFrame:
        """The cells that are changed or fail: verdict, reason, violations of the check and the unchanged statement."""
        rows = [{"theorem": entry.theorem, "regularizer": entry.regularizer, "verdict": entry.verdict,
                 "reason": entry.reason, "worst violation": entry.check.worst_violation,
                 "unchanged statement": entry.original}
                for entry in self.cells if entry.verdict != "holds"]  # fmt: skip
        return pd.DataFrame(rows).set_index(["theorem", "regularizer"])

    def _pivot(self, field: str) -> pd.DataFrame:
        rows = [
            {"regularizer": entry.regularizer, "theorem": entry.theorem, field: getattr(entry, field)}
            for entry in self.cells
        ]
        return self._ordered(pd.DataFrame(rows), field)

    def _ordered(self, rows: pd.DataFrame, field: str) -> pd.DataFrame:
        table = rows.pivot(index="regularizer", columns="theorem", values=field)
        return table.loc[list(dict.fromkeys(rows["regularizer"])), list(dict.fromkeys(rows["theorem"]))]


@cache
def evaluate(problems: int = 8, seed: int = 0) -> Matrix:
    """Every theorem for every regularizer on `problems` random problems, ridge and logistic in turn.

    Raises:
        ConfigError: problems < 1.
    """
    return Matrix(tuple(cell(name, kind.name, problems, seed) for kind in ALL for name in COLUMNS), problems)


def cell(theorem: str, reg: str, problems: int = 8, seed: int = 0) -> Cell:
    """One theorem for one regularizer.

    Raises:
        ConfigError: an unknown theorem or regularizer, problems < 1.
    """
    theorems.known(theorem)
    kind = validate.known(reg)
    checks = [check for k in range(validate.count("problems", problems)) for check in COLUMNS[theorem](kind, seed + k)]
    verdict, reason = EXPECTED.get((theorem, kind.name), ("holds", HOLDS.get(theorem, "")))
    witness = original(theorem, kind) if verdict == "changed" else None
    return Cell(theorem, kind.name, verdict, reason, merge(checks), witness)
