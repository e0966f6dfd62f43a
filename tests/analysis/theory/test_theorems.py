import pytest
import sympy as sp

from analysis.theory import theorems
from analysis.theory.algebra.proof import by_hand, identity
from analysis.theory.algebra.theorem import Theorem
from cudfkd.base.errors import ConfigError


@pytest.mark.parametrize("name", theorems.names())
def test_algebra_is_proved(name):
    theorem = theorems.theorem(name)
    assert theorem.id == name
    assert [proof.name for proof in theorem.proofs if not proof.proved] == list(theorem.by_hand)
    assert theorem.proved
    assert theorem.proofs
    assert theorem.hypotheses
    assert theorem.literature
    assert set(theorem.claims) <= {f"C{k}" for k in range(1, 10)}
    assert theorem.notebook in ("04", "05", "06", "07")
    assert theorem.statement in theorem._repr_markdown_()


def test_table_lists_ten():
    table = theorems.table()
    assert list(table.index) == ["T1", "T2", "T3", "T4", "T5", "T5'", "T6", "T7", "T8", "T9"]
    assert table["algebra proved"].all()
    assert "limit points" in table["by hand"]["T4"]


def test_words_alone_prove_no_algebra():
    step = by_hand("step", "A step.", "x", "Because.")
    assert not Theorem("T0", "", "", (), "", (step,), "").proved
    half = identity("half", "", sp.S.One, sp.S.One)
    both = Theorem("T0", "", "", (), "", (step, half), "")
    assert (both.proved, both.by_hand) == (True, ("step",))


def test_unknown_theorem():
    with pytest.raises(ConfigError, match="unknown theorem 'T10'"):
        theorems.theorem("T10")
