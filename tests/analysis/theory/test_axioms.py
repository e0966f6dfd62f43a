import pytest

from analysis.theory import axioms
from cudfkd.base.errors import ConfigError
from tests.analysis.theory.toys import every

FAILING = {("log", "A3 start"), ("jiang-log", "A3"), ("jiang-log", "A3 end")}


@every
def test_two_regularizers_break_an_axiom(reg):
    for check in axioms.checks(reg):
        assert check.verdict == ("fails" if (reg.name, check.name) in FAILING else "holds"), check


def test_table_gives_the_reasons():
    table = axioms.table()
    assert table.shape == (10, 5)
    assert (table != "holds").sum().sum() == 3
    assert table.loc["log", "A3 start"] == "fails: v* -> 2 / (1 + e^l): the start is never empty"
    assert not table.map(lambda cell: "no reason" in cell).any(axis=None)


def test_weight_that_rises_and_falls():
    weights = axioms.falling_weight()
    assert weights.tolist() == pytest.approx([0.472, 0.737, 0.748, 0.699, 0.479, 0.332], abs=1e-3)


def test_bad_lambda():
    with pytest.raises(ConfigError, match="lam = 1.0"):
        axioms.falling_weight(paces=(0.5, 1.0))
