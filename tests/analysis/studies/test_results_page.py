"""The tables of the quick run, of methods, of the curriculum and of all studies say what records and studies say."""

import re
from pathlib import Path

import numpy as np
import pytest

from analysis.studies import catalog, records, table, tuning
from cudfkd import teachers

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
PAGE = (DOCS / "results.md").read_text()
QUICK = PAGE.split("## The quick run")[1].split("\n### ")[0]
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


def reached(run, seconds: float) -> float:
    """The accuracy in percent after the epoch that ended nearest to a time; NaN where the run was finished by then."""
    nearest = min(run.rows, key=lambda row: abs(row["total_seconds"] - seconds))
    return np.nan if run.seconds < seconds and nearest is run.rows[-1] else 100 * nearest["accuracy"]


@pytest.fixture(scope="module")
def quick() -> dict[str, list[float]]:
    """The numbers of the three recorded quick runs, by the rows of the page."""
    runs = [run for _, _, run in records.load("quick").runs()]
    percent = {"accuracy on dev, %": "accuracy", "accuracy on test, %": "test_accuracy"}
    percent["agreement with the teacher on test, %"] = "test_agreement"
    numbers = {row: [100 * run.numbers[name] for run in runs] for row, name in percent.items()}
    numbers["seconds of training"] = [run.seconds for run in runs]
    for row, seconds in {
        "accuracy on dev after about 20 s, %": 20,
        "after about 40 s, %": 40,
        "after about 60 s, %": 60,
    }.items():
        numbers[row] = [reached(run, seconds) for run in runs]
    return numbers


def agrees(written: str, value: float) -> bool:
    """Whether a number in words is a value, rounded to as many digits."""
    number = written.split()[0]
    if np.isnan(value) or number == "finished":
        return np.isnan(value) and number == "finished"
    digits = len(number.partition(".")[2])
    return abs(float(number) - value) <= 0.5 * 10**-digits + 1e-9


def test_the_table_of_the_quick_run_is_of_the_record(quick):
    seeds, over = (
        [cells(line) for line in part.splitlines() if line.startswith("| ")][1:] for part in QUICK.split("Over the")
    )
    assert [row for row, *_ in seeds] == list(quick)
    for row, *written in seeds:
        assert all(agrees(*pair) for pair in zip(written, quick[row], strict=True)), row
    assert len(over) == 4
    for row, mean, sd in over:
        assert agrees(mean, np.mean(quick[row])), row
        assert not sd or agrees(sd, np.std(quick[row], ddof=1)), row


def test_a_wrong_number_of_the_quick_run_is_noticed():
    assert agrees("83.5", 83.54)
    assert not agrees("83.5", 83.56)
    assert not agrees("finished", 83.5)


def test_the_readme_rounds_the_numbers_of_the_quick_run(quick):
    (student, teacher) = re.findall(r"about (\d+) %", (ROOT / "README.md").read_text())
    assert agrees(student, np.mean(quick["accuracy on dev, %"]))
    assert agrees(teacher, 100 * teachers.shipped_card("fashion-mnist", "lenet5", 0)["accuracy"]["dev"])


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
