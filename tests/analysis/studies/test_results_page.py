"""The tables of methods, of the curriculum and of all studies say what the records and the studies say."""

import re
from pathlib import Path

import pytest

from analysis.studies import catalog, records, table, tuning

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "results.md").read_text()
SECTION = PAGE.split("## The methods side by side")[1].split("\n## ")[0]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")[1:-1]]


def name_of(cell: str) -> str:
    """A method's name in the library from its cell: "`kd`, on the real images", or "Fast-DFKD"."""
    return match[1] if (match := re.match(r"`(.+)`", cell)) else cell.lower()


@pytest.fixture(scope="module")
def rows():
    _, *methods = [cells(line) for line in SECTION.split("\n### ")[0].splitlines() if line.startswith("| ")]
    return {name_of(name): columns for name, *columns in methods}


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


def test_the_steps_from_dfq_to_cudfkd_are_of_the_record():
    steps = table.ladder(table.frame(records.load("curriculum")), "form")
    written = [cells(line) for line in PAGE.splitlines() if line.startswith(("| DFQ at", "| CuDFKD without"))]
    assert {f"{start} -> {end}": (mean, interval) for start, end, mean, interval in written} == {
        name: (f"{row['mean']:.1f}", f"{row['low']:.1f} to {row['high']:.1f}") for name, row in steps.iterrows()
    }


def test_the_page_of_studies_lists_every_study_with_its_runs():
    lines = (DOCS / "many-runs.md").read_text().split("The project's own studies:")[1].split("###")[0].splitlines()
    rows = {cells(line)[0].strip("`"): cells(line) for line in lines if line.startswith("| `")}
    assert set(rows) == set(catalog.names())
    for name in set(rows) - {tuning.NAME}:
        described = catalog.get(name)
        assert rows[name][2] == f"{len(described.cases)} x {len(described.seeds)}", name
        assert (rows[name][3] == "not run yet") == (not records.path_of(name).exists()), name
