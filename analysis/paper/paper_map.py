"""The map of the paper: every figure, table and claim with its published numbers, ours, and the verdicts.

It is made from the records of the studies alone. A row without its record, or with a record that lacks a run, says
"not run yet".
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.checks import Check
from analysis.evidence import claims
from analysis.paper.rows import ROWS, Numbers, Row
from analysis.studies import catalog, records
from analysis.studies.records import StudyRecord

NOT_RUN, NO_TEST = "not run yet", "shown, nothing to test"


@dataclass(frozen=True)
class Entry:
    """A row of the map, filled from the records.

    row: the row.
    complete: whether all records that it needs are there with all runs.
    numbers: our numbers, by name.
    checks: our checks.
    minutes: time of training of all recorded runs; None where it was not recorded.
    """

    row: Row
    complete: bool
    numbers: Numbers
    checks: list[Check]
    minutes: float | None

    @property
    def claimed(self) -> str:
        """The verdict on the paper's own data and scale."""
        stated = [claim for claim in claims.CLAIMS if claim.id == self.row.id]
        return claims.as_claimed(stated[0]).word if stated else "out of reach"

    @property
    def here(self) -> str:
        """The verdict of our checks, in a word."""
        if not self.complete:
            return NOT_RUN if self.row.studies else "out of reach"
        stated = [claim for claim in claims.CLAIMS if claim.id == self.row.id]
        if stated:
            return claims.here(stated[0], self.checks).word
        if not self.checks:
            return NO_TEST
        words = {check.verdict for check in self.checks}
        return "supported" if words == {"holds"} else "not supported" if "fails" in words else "inconclusive"

    @property
    def command(self) -> str:
        """The command that makes the runs."""
        return "; ".join(f"python -m analysis.studies record {name}" for name in self.row.studies)

    @property
    def seeds(self) -> int | None:
        """The smallest number of seeds behind our numbers; None without a number."""
        return min((each.n for each in self.numbers.values()), default=None)


def entries(rows: Sequence[Row] = ROWS) -> list[Entry]:
    """Every row, filled. Raises DataError where a record is damaged."""
    names = dict.fromkeys(name for row in rows for name in row.studies)
    stored = {name: _whole(name) for name in names}
    return [_filled(row, [stored[name] for name in row.studies]) for row in rows]


def table(filled: Iterable[Entry]) -> pd.DataFrame:
    """A row a figure, table or claim (the index), in words."""
    return pd.DataFrame(
        [
            {
                "row": entry.row.id,
                "subject": entry.row.title,
                "published": _published(entry),
                "ours": _ours(entry),
                "n": "" if entry.seeds is None else entry.seeds,
                "as claimed": entry.claimed,
                "here": entry.here,
                "notebook": entry.row.notebook,
                "command": f"`{entry.command}`" if entry.command else "",
                "minutes": "" if entry.minutes is None else f"{entry.minutes:.0f}",
            }
            for entry in filled
        ]
    ).set_index("row")


def numbers(filled: Iterable[Entry]) -> pd.DataFrame:
    """A row a number: row, name, unit, published, and ours with low and high; NaN where there is none."""
    rows = []
    for entry in filled:
        for name in dict.fromkeys([*entry.row.published, *entry.numbers]):
            ours = entry.numbers.get(name)
            rows.append((entry.row.id, name, entry.row.unit, entry.row.published.get(name), *(ours or (None,) * 3)[:3]))
    table_of_numbers = pd.DataFrame(rows, columns=["row", "name", "unit", "published", "ours", "low", "high"])
    return table_of_numbers.astype(dict.fromkeys(("published", "ours", "low", "high"), float))


def lines(filled: Iterable[Entry]) -> Iterator[str]:
    """A line a row, for a terminal."""
    for entry in filled:
        yield f"{entry.row.id:<13} here {entry.here}; as claimed {entry.claimed}: {entry.row.title}"
        yield f"{'':<13} published {_published(entry) or 'no number'}; ours {_ours(entry) or 'no number'}"
        if not entry.complete and entry.command:
            yield f"{'':<13} {entry.command}"


def sources() -> str:
    """The sources of the published values, a line a row, for docs/map.md."""
    return "\n".join(f"- {row.id}: {row.source.removeprefix(f'{row.id}: ')}" for row in ROWS if row.source)


def _filled(row: Row, stored: list[StudyRecord | None]) -> Entry:
    whole = [record for record in stored if record is not None]
    complete = len(whole) == len(stored) > 0
    seconds = [run.seconds for record in whole for _, _, run in record.runs() if run.seconds is not None]
    ours, checks = (row.ours(*whole), row.checks(*whole)) if complete else ({}, [])
    return Entry(row, complete, ours, checks, sum(seconds) / 60 if complete and seconds else None)


def _whole(name: str) -> StudyRecord | None:
    """The record of a study; None where it is not there, or lacks a run of today's study."""
    path = records.path_of(name)
    if not path.exists() or name not in catalog.names():
        return None
    study = catalog.get(name)
    record = records.begun(study, path)
    return None if records.lacking(study, record) else record


def _published(entry: Entry) -> str:
    given = {name: value for name, value in entry.row.published.items() if value is not None}
    return "; ".join(f"{name}: {value:.4g}" for name, value in given.items()) + _unit(entry, bool(given))


def _ours(entry: Entry) -> str:
    texts = [f"{name}: {each.value:.3g} [{each.low:.3g}, {each.high:.3g}]" for name, each in entry.numbers.items()]
    return "; ".join(texts) + _unit(entry, bool(texts))


def _unit(entry: Entry, there: bool) -> str:
    return f" ({entry.row.unit})" if there and entry.row.unit else ""
