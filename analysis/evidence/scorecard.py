"""The scorecard: a table of every check of a profile, and the verdicts on the theorems and the paper's claims.

A result that is not valid for the present code and parameters is shown as stale and counts for no verdict.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.checks import Check, failures
from analysis.evidence import claims, results
from analysis.evidence.reproduce import notebooks_of
from analysis.evidence.results import Result
from analysis.theory import theorems

NUMBER = "18"  # number of the notebook that shows the scorecard; it has no checks of its own
NO_EVIDENCE = "by construction: a test of the code, no evidence"
COLUMNS = ("theorem", "claims", "check", "statement", "verdict", "worst violation", "tolerance", "n", "control",
           "control's violation", "kind", "notebook")  # fmt: skip


@dataclass(frozen=True)
class Scorecard:
    """The results of the notebooks of a profile.

    profile: smoke, quick or full.
    results: a result for each notebook that has been run, in order.
    stale: why a result is not valid for the present code and profile, by notebook number.
    missing: names of the notebooks without a result.
    """

    profile: str
    results: tuple[Result, ...]
    stale: dict[str, str]
    missing: tuple[str, ...]

    @property
    def failed(self) -> list[str]:
        """Exact checks that fail or are void, and findings that are false. Stale results count, too."""
        return [f"{result.number} {name}" for result in self.results
                for name in failures(result.checks, result.findings)]  # fmt: skip

    @property
    def current(self) -> tuple[Check, ...]:
        """The checks that count: the checks of the results that are not stale."""
        return tuple(check for result in self.results if result.number not in self.stale for check in result.checks)

    def summary(self) -> str:
        """A line with the number of checks that hold, of findings that are true, and of notebooks."""
        if not self.results:
            return f"no results of profile {self.profile} yet: run make figures PROFILE={self.profile} first"
        checks = [check for result in self.results for check in result.checks]
        truths = [holds for result in self.results for holds in result.findings.values()]
        line = (
            f"{self.profile}: {sum(check.passed for check in checks)} of {len(checks)} checks hold"
            " and their controls fail"
        )
        line += f"; {sum(truths)} of {len(truths)} findings are true; {len(self.results)} notebooks"
        return line + f", {len(self.stale)} stale, {len(self.missing)} not run"

    def state(self) -> pd.DataFrame:
        """A table with a row a notebook (the index).

        state: "current", "stale" and the reason, or "not run".
        checks: number of checks.
        findings: number of findings.
        commit: commit of the code at the execution.
        seconds: duration of the execution.
        """
        states = {number: f"stale: {why}" for number, why in self.stale.items()}
        rows = [
            {"notebook": result.notebook, "state": states.get(result.number, "current"), "checks": len(result.checks),
             "findings": len(result.findings), "commit": result.commit, "seconds": result.seconds}
            for result in self.results
        ]  # fmt: skip
        rows += [{"notebook": name, "state": "not run"} for name in self.missing]
        columns = ["notebook", "state", "checks", "findings", "commit", "seconds"]
        table = pd.DataFrame(rows, columns=columns).sort_values("notebook").set_index("notebook")
        return table.astype({"checks": "Int64", "findings": "Int64"})

    def rows(self) -> pd.DataFrame:
        """A table with a row a check, in order of theorem and notebook. The verdict marks a stale check as stale.

        T2 comes before T10, and checks of other things than theorems come last.
        """
        rows = [_row(result, check, result.number in self.stale) for result in self.results for check in result.checks]
        rows.sort(key=lambda row: _place(row["theorem"]))
        return pd.DataFrame(rows, columns=COLUMNS)

    def findings(self) -> pd.DataFrame:
        """A table with a row a finding: a statement that must be true and has no measure, as sympy's algebra."""
        rows = [{"notebook": result.number, "finding": name, "true": holds} for result in self.results
                for name, holds in result.findings.items()]  # fmt: skip
        return pd.DataFrame(rows, columns=["notebook", "finding", "true"])

    def theorems(self) -> pd.DataFrame:
        """A table with a row a theorem (the index).

        title, stated in: the theorem, and the notebook that states it with its hypotheses.
        verdict: the judgement by the exact checks and sympy.
        by hand: the steps of its proof that are argued in words.
        exact checks: number of exact checks.
        statistical: how many of the statistical checks hold.
        checked in: numbers of the notebooks.
        """
        stated = theorems.table()
        bearing = {name: [check for check in self.current if check.theorem == name] for name in stated.index}
        exact = {name: [check for check in some if check.exact] for name, some in bearing.items()}
        statistical = {name: [check for check in some if not check.exact] for name, some in bearing.items()}
        return pd.DataFrame({
            "title": stated["title"],
            "stated in": stated["notebook"],
            "verdict": [_judged(bool(stated["algebra proved"][name]), some) for name, some in exact.items()],
            "by hand": stated["by hand"],
            "exact checks": [len(some) for some in exact.values()],
            "statistical": [_held(some) for some in statistical.values()],
            "checked in": [", ".join(self._notebooks(name)) for name in stated.index],
        })  # fmt: skip

    def claims(self) -> pd.DataFrame:
        """A table with a row a claim of the paper (the index).

        text: the claim in our words.
        as claimed, why: the verdict on the claim as the paper makes it, and the reason.
        here, rests on: the verdict by our checks, and the reason.
        """
        rows = []
        for claim in claims.CLAIMS:
            far, near = claims.as_claimed(claim), claims.here(claim, self.current)
            rows.append({"claim": claim.id, "text": claim.text, "as claimed": far.word, "why": far.basis,
                         "here": near.word, "rests on": near.basis})  # fmt: skip
        return pd.DataFrame(rows).set_index("claim")

    def matrix(self) -> pd.DataFrame | None:
        """The table of theorem by regularizer from notebook 03; None if the notebook has no current result."""
        current = [result for result in self.results if "matrix" in result.metrics and result.number not in self.stale]
        return pd.DataFrame.from_dict(current[0].metrics["matrix"], orient="index") if current else None

    def numbers(self) -> dict[str, Any]:
        """Plain data for the scorecard's own result.json."""
        counts = self.rows()["verdict"].value_counts()
        return {
            "checks": {str(verdict): int(count) for verdict, count in counts.items()},
            "failed": self.failed,
            "stale": self.stale,
            "missing": list(self.missing),
            "theorems": self.theorems()["verdict"].to_dict(),
            "claims": self.claims()["here"].to_dict(),
        }

    def lines(self) -> Iterator[str]:
        """Lines for a terminal: the summary, a line a check, the remarks, a line a theorem, a line a claim."""
        yield self.summary()
        yield from (_told(row) for _, row in self.rows().iterrows())
        yield from self.remarks()
        for name, row in self.theorems().iterrows():
            yield f"{name:<3} {row['verdict']}: {row['title']}, {row['exact checks']} exact checks"
        for name, row in self.claims().iterrows():
            yield f"{name:<3} here {row['here']} ({row['rests on']}); as claimed {row['as claimed']}"

    def remarks(self) -> Iterator[str]:
        """A line for each entry of `failed`, each stale result and each notebook that was not run."""
        yield from (f"failed: {name}" for name in self.failed)
        yield from (f"stale: {number}, {why}" for number, why in self.stale.items())
        yield from (f"not run: {name}" for name in self.missing)

    def _notebooks(self, theorem: str) -> list[str]:
        fresh = [result for result in self.results if result.number not in self.stale]
        return [result.number for result in fresh if any(check.theorem == theorem for check in result.checks)]


def load(profile: str, folder: Path, *, as_recorded: bool = False) -> Scorecard:
    """Reads the results of a profile. If there are none, the summary says so.

    Arguments:
        profile: name of a folder in profiles/.
        folder: the folder out/PROFILE, with the results as NN/result.json.
        as_recorded: whether results count as they were recorded, even if the code has changed since.

    Raises:
        ConfigError: the profile is unknown.
        DataError: a result.json is damaged.
    """
    expected = {path.name[:2]: path.stem for path in notebooks_of(profile) if path.name[:2] != NUMBER}
    files = [path for path in sorted(folder.glob("[0-9][0-9]/result.json")) if path.parent.name != NUMBER]
    stored = [results.read(path) for path in files]
    stored = tuple(replace(result, notebook=expected.get(result.number, result.notebook)) for result in stored)
    missing = tuple(stem for number, stem in expected.items() if number not in {result.number for result in stored})
    reasons = {} if as_recorded else {result.number: results.doubts(result, profile) for result in stored}
    return Scorecard(profile, stored, {number: why for number, why in reasons.items() if why}, missing)


def _judged(proved: bool, exact: list[Check]) -> str:
    """The verdict on a theorem. "proved": sympy settled the algebra and every exact check holds. "supported": every
    exact check holds.

    Statistical checks do not count: where a statistical check fails, a hypothesis of the theorem does not hold.
    """
    if any(check.verdict == "fails" for check in exact):
        return "not supported"
    if any(check.verdict == "void" for check in exact):
        return "inconclusive"
    if all(check.by_construction for check in exact):
        return "not tested yet"
    return "proved" if proved else "supported"


def _held(checks: list[Check]) -> str:
    return f"{sum(check.passed for check in checks)} of {len(checks)} hold" if checks else ""


def _told(row: pd.Series) -> str:
    kind, undone = str(row["kind"]).split(":")[0], row["control's violation"]
    return (
        f"{row['notebook']} {row['theorem']:<6} {row['verdict']:<6} {row['worst violation']:>8.1e} against "
        f"{row['tolerance']:.0e}, n {row['n']:<6} {kind:<15} {row['check']}; control: {row['control']} ({undone:.1e})"
    )


def _row(result: Result, check: Check, stale: bool) -> dict[str, Any]:
    return {
        "theorem": check.theorem,
        "claims": ", ".join(check.claims),
        "check": check.name,
        "statement": check.statement,
        "verdict": f"{check.verdict} (stale)" if stale else check.verdict,
        "worst violation": check.worst_violation,
        "tolerance": check.tolerance,
        "n": check.n,
        "control": check.control.name,
        "control's violation": check.control.violation,
        "kind": NO_EVIDENCE if check.by_construction else check.kind,
        "notebook": result.number,
    }


def _place(theorem: str) -> tuple[int, str]:
    """The place of a theorem in the order of the scorecard; other words have the last place, in alphabetical order."""
    number = re.fullmatch(r"T(\d+)'?", theorem)
    return (int(number[1]) if number else sys.maxsize, theorem)
