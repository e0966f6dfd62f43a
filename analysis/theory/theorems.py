"""T1 to T14: statement, hypotheses, and the algebra of each proof as identities that sympy reduces to zero.

Notation: theta_k is the student after k steps, l_i(theta) >= 0 the loss of sample i, F the latent loss and v = F' the
weight:

    Phi(theta) = mean F(l_i(theta)) + R(theta),
    Q(theta | theta_k) = mean [v_i l_i(theta) + g(v_i)] + R(theta),    v_i = v*(l_i(theta_k)).

The steps of a proof beyond algebra (concavity, an induction, Chebyshev's inequality) are in words, in `argument` or as
a proof by hand. The text of the paper's own theorem was not at hand. Literature is cited from memory.
"""

from functools import cache

import pandas as pd

from analysis.theory.algebra import (
    statements_convergence,
    statements_distribution,
    statements_fixed,
    statements_growth,
    statements_moving,
    statements_rate,
    statements_weights,
)
from analysis.theory.algebra.theorem import Theorem
from cudfkd.base.errors import ConfigError, unknown

STATEMENTS = {
    "T1": statements_fixed.t1, "T2": statements_fixed.t2, "T3": statements_fixed.t3, "T4": statements_rate.t4,
    "T5": statements_growth.t5, "T5'": statements_growth.t5_limit, "T6": statements_moving.t6,
    "T7": statements_moving.t7, "T8": statements_moving.t8, "T9": statements_distribution.t9,
    "T10": statements_convergence.t10, "T11": statements_convergence.t11, "T12": statements_weights.t12,
    "T13": statements_distribution.t13, "T14": statements_weights.t14,
}  # fmt: skip


@cache
def theorem(name: str) -> Theorem:
    """The theorem with this name, T1 ... T14 or T5'. Raises ConfigError for an unknown name."""
    return STATEMENTS[known(name)]()


def known(name: str) -> str:
    """The name itself, if a theorem has it. Raises ConfigError otherwise."""
    if name not in STATEMENTS:
        raise ConfigError(unknown("theorem", name, STATEMENTS))
    return name


def names() -> list[str]:
    """The names of the theorems in order."""
    return list(STATEMENTS)


def table() -> pd.DataFrame:
    """One row per theorem: title, statement, whether sympy settled the algebra, the steps by hand, notebook.

    The hypotheses stand with the theorem itself, as a list.
    """
    rows = [
        {"theorem": entry.id, "title": entry.title, "statement": f"${entry.statement}$",
         "algebra proved": entry.proved, "by hand": ", ".join(entry.by_hand), "notebook": entry.notebook}
        for entry in map(theorem, names())
    ]  # fmt: skip
    return pd.DataFrame(rows).set_index("theorem")
