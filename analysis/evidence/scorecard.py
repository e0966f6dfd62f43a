"""The scorecard: every check of a profile in one table, and what follows for the theorems and the paper's claims.

Results that do not speak for the present code and parameters are shown as stale, and count for no verdict.
"""

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

NUMBER = "18"  # of the notebook that shows it, which has no checks of its own
NO_EVIDENCE = "by construction: a test of the code, no evidence"
COLUMNS = ("theorem", "claims", "check", "statement", "verdict", "worst violation", "tolerance", "n", "control",
           "control's violation", "kind", "notebook")  # fmt: skip


@dataclass(frozen=True)
class Scorecard:
    """What the notebooks of a profile have found.

    results: one a notebook that has been run, in order.
    stale: why a result does not speak for the present code and profile, by notebook number.
    missing: notebooks without a result.
    """

    profile: str
    results: tuple[Result, ...]
    stale: dict[str, str]
    missing: tuple[str, ...]

    @property
    def failed(self) -> list[str]:
        """What may not fail and did, stale or not: exact checks that fail or are void, and findings that are false."""
        return [f"{one.number} {name}" for one in self.results for name in failures(one.checks, one.findings)]

    @property
    def current(self) -> tuple[Check, ...]:
        """The checks that count: those that are not stale."""
        return tuple(check for one in self.results if one.number not in self.stale for check in one.checks)

    def summary(self) -> str:
        """In one line: how many checks of how many notebooks hold."""
        if not self.results:
            return f"no results of profile {self.profile} yet: run make figures PROFILE={self.profile} first"
        every = [check for one in self.results for check in one.checks]
        found = [holds for one in self.results for holds in one.findings.values()]
        told = f"{self.profile}: {sum(one.passed for one in every)} of {len(every)} checks hold and their controls fail"
        told += f"; {sum(found)} of {len(found)} findings are true; {len(self.results)} notebooks"
        return told + f", {len(self.stale)} stale, {len(self.missing)} not run"

    def state(self) -> pd.DataFrame:
        """A row a notebook: whether its result is current, stale (and why) or missing; checks, commit, seconds."""
        states = {number: f"stale: {why}" for number, why in self.stale.items()}
        rows = [
            {"notebook": one.notebook, "state": states.get(one.number, "current"), "checks": len(one.checks),
             "findings": len(one.findings), "commit": one.commit, "seconds": one.seconds} for one in self.results
        ]  # fmt: skip
        rows += [{"notebook": name, "state": "not run"} for name in self.missing]
        columns = ["notebook", "state", "checks", "findings", "commit", "seconds"]
        table = pd.DataFrame(rows, columns=columns).sort_values("notebook").set_index("notebook")
        return table.astype({"checks": "Int64", "findings": "Int64"})

    def rows(self) -> pd.DataFrame:
        """A row a check, by theorem and notebook; a stale one says so in its verdict."""
        rows = [_row(one, check, one.number in self.stale) for one in self.results for check in one.checks]
        return pd.DataFrame(rows, columns=COLUMNS).sort_values("theorem", kind="stable", ignore_index=True)

    def findings(self) -> pd.DataFrame:
        """A row a finding: what must be true and has no measure, such as algebra that sympy settled."""
        rows = [{"notebook": one.number, "finding": name, "true": holds} for one in self.results
                for name, holds in one.findings.items()]  # fmt: skip
        return pd.DataFrame(rows, columns=["notebook", "finding", "true"])

    def theorems(self) -> pd.DataFrame:
        """A row a theorem: hypotheses, verdict, exact checks it rests on and statistical ones that hold, notebooks."""
        known = theorems.table()
        bearing = {name: [one for one in self.current if one.theorem == name] for name in known.index}
        exact = {name: [one for one in some if one.exact] for name, some in bearing.items()}
        drawn = {name: [one for one in some if not one.exact] for name, some in bearing.items()}
        return pd.DataFrame({
            "title": known["title"],
            "hypotheses": known["hypotheses"],
            "verdict": [_judged(bool(known["algebra proved"][name]), some) for name, some in exact.items()],
            "exact checks": [len(some) for some in exact.values()],
            "statistical": [_held(some) for some in drawn.values()],
            "checked in": [", ".join(self._notebooks(name)) for name in known.index],
        })  # fmt: skip

    def claims(self) -> pd.DataFrame:
        """A row a claim of the paper: the verdict as claimed and the one here, each with what it rests on."""
        rows = []
        for one in claims.CLAIMS:
            far, near = claims.as_claimed(one), claims.here(one, self.current)
            rows.append({"claim": one.id, "text": one.text, "as claimed": far.word, "why": far.basis,
                         "here": near.word, "rests on": near.basis})  # fmt: skip
        return pd.DataFrame(rows).set_index("claim")

    def matrix(self) -> pd.DataFrame | None:
        """Theorem by regularizer, as notebook 03 found it; None if it has no current result."""
        found = [one for one in self.results if "matrix" in one.metrics and one.number not in self.stale]
        return pd.DataFrame.from_dict(found[0].metrics["matrix"], orient="index") if found else None

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
        """For a terminal: the summary, a line a check, remarks, then a line a theorem and a claim."""
        yield self.summary()
        yield from (_told(row) for _, row in self.rows().iterrows())
        yield from self.remarks()
        for name, row in self.theorems().iterrows():
            yield f"{name:<3} {row['verdict']}: {row['title']}, {row['exact checks']} exact checks"
        for name, row in self.claims().iterrows():
            yield f"{name:<3} here {row['here']} ({row['rests on']}); as claimed {row['as claimed']}"

    def remarks(self) -> Iterator[str]:
        """A line for everything that failed and may not, that is stale or was not run."""
        yield from (f"failed: {name}" for name in self.failed)
        yield from (f"stale: {number}, {why}" for number, why in self.stale.items())
        yield from (f"not run: {name}" for name in self.missing)

    def _notebooks(self, theorem: str) -> list[str]:
        fresh = [one for one in self.results if one.number not in self.stale]
        return [one.number for one in fresh if any(check.theorem == theorem for check in one.checks)]


def load(profile: str, folder: Path) -> Scorecard:
    """Reads the results of a profile; a card without any says so in its summary.

    Arguments:
        profile: a folder of profiles/.
        folder: where results lie, as NN/result.json: out/PROFILE.

    Raises:
        ConfigError: an unknown profile.
        DataError: a damaged result.json.
    """
    expected = {path.name[:2]: path.stem for path in notebooks_of(profile) if path.name[:2] != NUMBER}
    files = [path for path in sorted(folder.glob("[0-9][0-9]/result.json")) if path.parent.name != NUMBER]
    found = [results.read(path) for path in files]
    found = tuple(replace(one, notebook=expected.get(one.number, one.notebook)) for one in found)
    missing = tuple(stem for number, stem in expected.items() if number not in {one.number for one in found})
    reasons = {one.number: results.doubts(one, profile) for one in found}
    return Scorecard(profile, found, {number: why for number, why in reasons.items() if why}, missing)


def _judged(proved: bool, exact: list[Check]) -> str:
    """proved: sympy settled the algebra and every exact check holds; supported: the checks alone.

    Statistical checks do not enter: where one fails, a hypothesis of the theorem does not hold there.
    """
    if any(one.verdict == "fails" for one in exact):
        return "not supported"
    if any(one.verdict == "void" for one in exact):
        return "inconclusive"
    if all(one.by_construction for one in exact):
        return "not tested yet"
    return "proved" if proved else "supported"


def _held(checks: list[Check]) -> str:
    return f"{sum(one.passed for one in checks)} of {len(checks)} hold" if checks else ""


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
