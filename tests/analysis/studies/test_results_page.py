"""The table of methods on the page of results says the numbers of the record."""

import re
from pathlib import Path

import pytest

from analysis.studies import records, table, tuning

PAGE = Path(__file__).parents[3] / "docs" / "results.md"
SECTION = PAGE.read_text().split("## The methods side by side")[1].split("\n## ")[0]


def name_of(cell: str) -> str:
    """A method's name in the library from its cell: "`kd`, on the real images", or "Fast-DFKD"."""
    return match[1] if (match := re.match(r"`(.+)`", cell)) else cell.lower()


@pytest.fixture(scope="module")
def rows():
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in SECTION.splitlines() if line.startswith("| ")]
    return {name_of(row[0]): row[1:] for row in cells[1:]}


def test_every_number_is_of_the_record(rows):
    summary = table.summary(table.frame(records.load("methods")))
    assert list(rows) == list(summary.index)
    for method, row in summary.iterrows():
        expected = [f"{row['accuracy, %']:.1f}", f"{row['low']:.1f} to {row['high']:.1f}"]
        assert rows[method][:4] == [*expected, f"{row['agreement, %']:.1f}", f"{row['seconds']:.0f}"], method


def test_the_settings_are_of_the_search(rows):
    winners = tuning.decisions(records.load("tuning")).set_index("method")["winner"]
    assert {method: row[4] for method, row in rows.items()} == {
        method: "searched" if trial else "defaults" for method, trial in winners.items()
    }


def test_the_effort_is_of_the_search():
    search = records.load("tuning")
    stages = [case.at["stage"] for case, _, _ in search.runs()]
    words = " ".join(SECTION.split())
    assert f"{stages.count('search')} short trials and {stages.count('full')} runs at full length" in words
    assert f"{tuning.core_hours(search):.1f} core-hours" in words
