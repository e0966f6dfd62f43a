import json

import pytest

from analysis.theory import expected, matrix, theorems
from cudfkd.base.errors import ConfigError


@pytest.fixture(scope="module")
def full() -> matrix.Matrix:
    return matrix.evaluate(problems=4)  # the quick profile takes more


def test_every_cell_says_what_is_expected(full):
    assert [(cell.theorem, cell.regularizer, cell.check) for cell in full.cells if not cell.agrees] == []
    assert full.agrees
    assert full.problems == 4


def test_exact_where_it_holds(full):
    assert full.worst <= 1e-10
    assert all(cell.check.exact and cell.check.tolerance == 1e-10 for cell in full.cells)


def test_tables(full):
    table = full.table()
    assert list(table.columns) == theorems.names()
    assert len(table) == 10
    counts = table.stack().value_counts()
    assert counts.to_dict() == {"holds": 131, "changed": 16, "fails": 3}
    assert (table == "fails").loc["jiang-log"].sum() == 3
    assert (table.loc["log"] == "holds").all()
    assert len(full.reasons()) == 19
    assert full.reasons()["reason"].str.len().min() > 20
    assert full.violations().shape == (10, 15)


def test_one_check_a_theorem(full):
    results = full.by_theorem()
    assert [result.theorem for result in results] == theorems.names()
    assert all(result.passed for result in results)
    assert min(result.n for result in results) >= 8 * 9


def test_cells_are_plain_data(full):
    plain = json.loads(json.dumps([cell.to_dict() for cell in full.cells], allow_nan=False))
    assert len(plain) == 150
    assert {cell["verdict"] for cell in plain} == {"holds", "changed", "fails"}


def test_a_wrong_expectation_does_not_agree(monkeypatch):
    monkeypatch.setitem(expected.EXPECTED, ("T9", "log"), ("fails", "a mistake"))
    assert not matrix.cell("T9", "log", problems=1).agrees
    monkeypatch.delitem(expected.EXPECTED, ("T9", "jiang-log"))
    assert not matrix.cell("T9", "jiang-log", problems=2).agrees


def test_two_runs_give_the_same_bits():
    assert matrix.cell("T4", "welsch", 2) == matrix.cell("T4", "welsch", 2)


def test_bad_input():
    with pytest.raises(ConfigError, match="unknown theorem 'T0'"):
        matrix.cell("T0", "log")
    with pytest.raises(ConfigError, match="unknown regularizer"):
        matrix.cell("T1", "lgo")
    with pytest.raises(ConfigError, match="problems = 0"):
        matrix.cell("T1", "log", problems=0)
