import pytest

from analysis.theory import theorems
from cudfkd.base.errors import ConfigError


@pytest.mark.parametrize("name", theorems.names())
def test_algebra_is_proved(name):
    theorem = theorems.theorem(name)
    assert theorem.id == name
    assert [proof.name for proof in theorem.proofs if not proof.proved] == []
    assert theorem.proofs
    assert theorem.hypotheses
    assert theorem.literature
    assert set(theorem.claims) <= {f"C{k}" for k in range(1, 10)}
    assert theorem.notebook in {f"{k:02d}" for k in range(2, 10)}
    assert theorem.statement in theorem._repr_markdown_()


def test_table_lists_fifteen():
    table = theorems.table()
    assert list(table.index) == ["T1", "T2", "T3", "T4", "T5", "T5'", "T6", "T7", "T8", "T9", "T10", "T11", "T12",
                                 "T13", "T14"]  # fmt: skip
    assert table["algebra proved"].all()


def test_unknown_theorem():
    with pytest.raises(ConfigError, match="unknown theorem 'T15'"):
        theorems.theorem("T15")
