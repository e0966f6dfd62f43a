"""The map of the paper: every row is there, and it fills itself from records."""

import re

import pytest

from analysis import plots
from analysis.__main__ import main
from analysis.evidence.claims import CLAIMS
from analysis.origin import ROOT
from analysis.paper import paper_map
from analysis.paper.rows import ROWS
from analysis.studies import catalog, records
from cudfkd.base.errors import DataError
from tests.analysis.studies import compared, curved, seeded

OF_THE_PAPER = {
    *(f"F{number}" for number in range(1, 14)),
    *(claim.id for claim in CLAIMS),
    "accuracies", "steadiness", "Tiny-ImageNet",
}  # fmt: skip


def test_every_figure_table_and_claim_has_its_row():
    assert {row.id for row in ROWS} == OF_THE_PAPER
    assert len(ROWS) == len(OF_THE_PAPER)
    assert all(row.title and row.source for row in ROWS)
    assert all(row.studies for row in ROWS if row.id != "Tiny-ImageNet")


@pytest.fixture
def empty(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "FOLDER", tmp_path)
    return tmp_path


def test_without_records_nothing_was_run(empty):
    table = paper_map.table(paper_map.entries())
    assert set(table["here"]) == {"not run yet", "out of reach"}
    assert set(table["as claimed"]) == {"out of reach"}
    assert set(table["ours"]) == {""}
    assert table.loc["F6", "command"] == "`python -m analysis.studies record strategy`"
    assert paper_map.numbers(paper_map.entries())["ours"].isna().all()


def test_rows_fill_themselves_from_records(empty):
    steps = {"ramp": lambda at: 0.8 - 0.05 * (at["end"] == "4/5"), "start": seeded.flat}
    for name, height in steps.items():
        records.write(records.path_of(name), seeded.record(name, height, seed=1))
    filled = {entry.row.id: entry for entry in paper_map.entries()}
    assert [filled[name].here for name in ("F2", "F3", "F8", "F5")] == [
        "supported", "supported", "not supported", "not run yet",
    ]  # fmt: skip
    (ours,) = filled["F2"].numbers.values()
    assert ours.value == pytest.approx(5, abs=1)
    assert filled["F2"].seeds == 5
    assert filled["F2"].minutes == 45
    numbers = paper_map.numbers(filled.values()).set_index("row")
    assert numbers.loc["F2", "published"] == pytest.approx(0.6233, abs=1e-4)
    assert numbers.loc["F2", "low"] < numbers.loc["F2", "ours"] < numbers.loc["F2", "high"]


@pytest.mark.parametrize("name", ["height", "strategy", "temperature", "noisy"])
def test_every_study_of_the_ablations_fills_the_numbers_that_its_row_names(empty, name):
    records.write(records.path_of(name), seeded.record(name))
    (entry,) = (
        each for each in paper_map.entries([row for row in ROWS if row.id[0] == "F" and row.studies == (name,)])
    )
    assert entry.complete
    named = set(entry.row.published)
    assert set(entry.numbers) <= named
    assert len(entry.numbers) >= 1
    assert len(entry.checks) == 1


def test_the_claims_on_training_are_decided_by_curves(empty):
    for name in ("comparison", "target", "parts"):
        records.write(records.path_of(name), curved.record(name))
    rows = [row for row in ROWS if row.id in ("C1", "C6", "C7")]
    c1, c6, c7 = paper_map.entries(rows)
    assert (len(c1.checks), len(c6.checks), c7.here) == (4, 6, "not run yet")
    assert c1.here == "inconclusive"  # the stand-ins have no effect of the student in the target
    assert c6.here == "supported"  # and CuDFKD is the best of them
    records.write(records.path_of("noisy"), seeded.record("noisy"))
    (c7,) = paper_map.entries(rows[-1:])
    assert {claim for check in c7.checks for claim in check.claims} == {"C7"}
    assert [check.name for check in c7.checks][1:] == ["most robust over training"]


def test_a_record_that_lacks_a_run_counts_as_not_run(empty):
    record = seeded.record("start")
    case = next(iter(record.cases.values()))
    case.runs.pop(4)
    records.write(records.path_of("start"), record)
    (entry,) = paper_map.entries([row for row in ROWS if row.id == "F8"])
    assert entry.here == "not run yet"


def test_a_damaged_record_is_one_line_and_exit_code_2(empty, capsys):
    (empty / "ramp.json").write_text("{")
    with pytest.raises(DataError, match="ramp.json is missing or damaged"):
        paper_map.entries()
    assert main(["map"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_command_has_lines_of_every_row(empty, capsys):
    assert main(["map"]) == 0
    begun = [line.split()[0] for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")]
    assert begun == [row.id for row in ROWS]


def test_the_commands_of_the_page_name_studies_that_there_are_or_will_be():
    named = set(re.findall(r"studies record ([a-z-]+)", (ROOT / "docs" / "map.md").read_text()))
    assert named - set(catalog.names()) <= {"comparison", "target"}
    assert "docs/map.md" in (ROOT / "README.md").read_text()


def test_the_picture_has_a_line_a_number_and_says_what_was_not_run(empty):
    records.write(records.path_of("start"), seeded.record("start"))
    numbers = paper_map.numbers(paper_map.entries())
    figure = plots.paper_map(numbers)
    labels = {label.get_text(): label for ax in figure.axes for label in ax.get_yticklabels()}
    assert len(labels) == len(numbers)
    assert labels["F8  start 2 - start 2.8"].get_color() == "black"
    assert labels["F5  height 8/7 - 1/7"].get_color() == "0.55"


OF_COMPARISON = ("C5", "C8", "C9")


@pytest.mark.parametrize(
    ("ours", "words"),
    [
        (0.92, ["supported", "supported", "supported"]),
        (0.82, ["supported", "supported", "not supported"]),
        (0.70, ["not supported", "not supported", "not supported"]),
    ],
    ids=["first", "first of the data-free", "behind"],
)
def test_the_claims_of_the_comparison_are_judged_by_its_record(empty, ours, words):
    records.write(records.path_of("comparison"), compared.record({"cudfkd": ours}))
    filled = {entry.row.id: entry for entry in paper_map.entries()}
    assert [filled[name].here for name in OF_COMPARISON] == words
    assert {filled[name].claimed for name in OF_COMPARISON} == {"out of reach"}
    assert filled["accuracies"].numbers["cudfkd"].value == pytest.approx(100 * ours, abs=1)
    assert filled["F1"].numbers["mean"].value == pytest.approx(ours - 0.2, abs=0.01)


def test_numbers_of_published_tables_are_read_on_test(empty):
    record = compared.record(noise=0.0)
    for _, _, run in record.runs():
        run.numbers.update(accuracy=0.1, loyalty_published=0.1)
    records.write(records.path_of("comparison"), record)
    loyalty, accuracies = paper_map.entries([row for row in ROWS if row.id in ("F1", "accuracies")])
    assert accuracies.numbers["dfq"].value == pytest.approx(79)
    assert loyalty.numbers["mean"].value == pytest.approx(0.6)


def test_a_part_of_the_comparison_decides_no_claim(empty):
    records.write(records.path_of("comparison"), compared.record({"cudfkd": 0.92}, seeds=9))
    filled = {entry.row.id: entry for entry in paper_map.entries()}
    assert {filled[name].here for name in OF_COMPARISON} == {"not run yet"}
    assert not any(filled[name].checks for name in OF_COMPARISON)
