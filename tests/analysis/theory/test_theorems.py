import re

import pytest
import sympy as sp

from analysis.theory import columns, counterexamples, expected, majorization, minibatch, theorems
from analysis.theory.algebra.proof import by_hand, identity
from analysis.theory.algebra.theorem import NOT_SHOWN, Theorem
from cudfkd import regularizers
from cudfkd.base.errors import ConfigError
from tests.analysis.theory.toys import TOYS


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
    assert theorem.notebook in {f"{k:02d}" for k in range(2, 10)}
    assert theorem.statement in theorem._repr_markdown_()


def test_table_lists_fifteen():
    table = theorems.table()
    assert list(table.index) == ["T1", "T2", "T3", "T4", "T5", "T5'", "T6", "T7", "T8", "T9", "T10", "T11", "T12",
                                 "T13", "T14"]  # fmt: skip
    assert table["algebra proved"].all()
    assert "limit points" in table["by hand"]["T4"]


@pytest.fixture(scope="module")
def shown():
    """Names of the counterexamples, of the controls on small problems, and of the cells that are changed or fail."""
    cells = [check for name in ("hard", "log") for column in columns.COLUMNS.values()
             for check in column(regularizers.get(name), 0)]  # fmt: skip
    others = [*majorization.checks(TOYS["ridge"], "log", 1.5), minibatch.batch_statistics("log", 2.0)]
    names = {check.control.name for check in (*cells, *others)} | set(counterexamples.table().index)
    return names | {f"{name} in the matrix" for _, name in expected.EXPECTED}


@pytest.mark.parametrize("name", theorems.names())
def test_every_hypothesis_says_what_shows_that_it_is_needed(name, shown):
    for hypothesis in theorems.theorem(name).hypotheses:
        reference = re.search(r" \(without it: (.*)\)$", hypothesis)
        assert reference, hypothesis
        assert reference[1] == NOT_SHOWN or set(reference[1].split("; ")) <= shown, hypothesis


@pytest.mark.parametrize("name", theorems.names())
def test_the_page_lists_the_hypotheses(name):
    theorem = theorems.theorem(name)
    page = theorem._repr_markdown_()
    assert page.count("\n- ") == len(theorem.hypotheses)
    assert page.count("(without it: ") == len(theorem.hypotheses)


def test_words_alone_prove_no_algebra():
    step = by_hand("step", "A step.", "x", "Because.")
    assert not Theorem("T0", "", "", (), "", (step,), "").proved
    half = identity("half", "", sp.S.One, sp.S.One)
    both = Theorem("T0", "", "", (), "", (step, half), "")
    assert (both.proved, both.by_hand) == (True, ("step",))


def test_unknown_theorem():
    with pytest.raises(ConfigError, match="unknown theorem 'T15'"):
        theorems.theorem("T15")
