"""A Proof: a statement, its formula in LaTeX, and the form to which sympy reduced it.

kind         proved when
identity     the difference of the two sides reduces to 0
sign         the expression, written in positive symbols (a chart), is a sum and product of positive terms, so that
             sympy knows its sign
limit        sympy's limit minus the claimed limit reduces to 0
refutation   the statement fails at a witness, evaluated to 30 digits
by hand      never: the formula and the reason give the argument in full, in words, and sympy has no part in it
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import sympy as sp

from analysis.theory.algebra.families import Chart, Formula

Kind = Literal["identity", "sign", "limit", "refutation", "by hand"]


@dataclass(frozen=True)
class Proof:
    """A statement about one regularizer or theorem, and the extent to which sympy proves it.

    name: a short name, the same for all regularizers ("stationarity").
    statement: one sentence.
    latex: the formula, without dollar signs.
    reduced: the reduced difference of the two sides ("0"), or the form that shows the sign.
    proved: True if sympy settled the statement. False means that an argument in words supports it (kind "by hand"), or
        only numbers; `reason` gives the argument or the cause.
    kind: identity, sign, limit; refutation (proved that the usual statement fails); by hand (an argument in words).
    reason: the step that a reader must add by hand, the changed hypothesis, or the witness.
    chart: the substitution that brings in the positive symbols of a sign, in LaTeX.
    """

    name: str
    statement: str
    latex: str
    reduced: str
    proved: bool
    kind: Kind
    reason: str = ""
    chart: str = ""

    @property
    def verdict(self) -> str:
        """The entry in a table: "0", "sign", "limit", "fails", "by hand" or "numeric"."""
        words = {"identity": "0", "refutation": "fails"}
        return words.get(self.kind, self.kind) if self.proved or self.argued else "numeric"

    @property
    def argued(self) -> bool:
        """Whether the proof is an argument in words, which no machine has checked."""
        return self.kind == "by hand"

    def _repr_markdown_(self) -> str:
        note = f" {prose(self.reason)}" if self.reason else ""
        return f"**{self.name}.** {prose(self.statement)}\n\n$$ {self.latex} $$\n\n{prose(self._outcome())}{note}"

    def _outcome(self) -> str:
        outcomes = {
            "identity": "The difference of the two sides reduces to 0.",
            "sign": f"With ${self.chart}$ this is ${self.reduced}$."
            if self.chart
            else f"The sign is seen in ${self.reduced}$.",
            "limit": "The limit minus the right side reduces to 0.",
            "refutation": f"Refuted: {self.reduced}.",
            "by hand": "By hand.",
        }
        return outcomes[self.kind] if self.proved or self.argued else "Not settled by sympy: checked numerically."


def prose(text: str) -> str:
    """The text for Markdown: outside $...$ an asterisk or underscore stands for itself and starts no italics."""
    pieces = text.split("$")
    return "$".join(piece if k % 2 else piece.replace("*", r"\*").replace("_", r"\_") for k, piece in enumerate(pieces))


def identity(
    name: str,
    statement: str,
    left: Formula,
    right: Formula = 0,
    chart: Chart = (),
    latex: str = "",
    reason: str = "",
) -> Proof:
    """The proof of left = right: proved when the difference of the two sides reduces to 0."""
    reduced = reduce(left - right, chart)
    return Proof(name, statement, latex or equation(left, right), sp.latex(reduced), reduced == 0, "identity", reason)


def identities(name: str, statement: str, pairs: list[tuple[Formula, Formula]], chart: Chart, symbol: str) -> Proof:
    """The proof of several identities that form one statement, one line each; `symbol` names the left sides."""
    reduced = [reduce(left - right, chart) for left, right in pairs]
    worst = next((difference for difference in reduced if difference != 0), sp.S.Zero)
    lines = [
        f"{symbol} = {sp.latex(left)} &= {sp.latex(right)}" if left != right else f"{symbol} &= {sp.latex(right)}"
        for left, right in pairs
    ]
    latex = r" \\ ".join(dict.fromkeys(lines))
    body = rf"\begin{{aligned}} {latex} \end{{aligned}}" if "\\\\" in latex else latex.replace("&=", "=")
    return Proof(name, statement, body, sp.latex(worst), worst == 0, "identity")


def nonnegative(
    name: str, statement: str, symbol: str, expression: Formula, chart: Chart = (), reason: str = ""
) -> Proof:
    """The proof of expression >= 0: proved when sympy knows its sign in the positive symbols of the chart."""
    reduced = reduce(expression, chart)
    settled = (reduced.is_nonnegative or sp.factor(reduced).is_nonnegative) is True
    latex = rf"{symbol} = {sp.latex(expression)} \ge 0"
    return Proof(name, statement, latex, sp.latex(reduced), settled, "sign", reason, told(chart))


def limits(
    name: str, statement: str, cases: list[tuple[str, Callable[[], Formula], Formula]], reason: str = ""
) -> Proof:
    """The proof of several limits. A case is (LaTeX of the limit, a function that computes it, the claimed value)."""
    settled = all(_same(take(), claimed) for _, take, claimed in cases)
    latex = r",\quad ".join(f"{symbol} = {sp.latex(claimed)}" for symbol, _, claimed in cases)
    return Proof(name, statement, latex, "0" if settled else "?", settled, "limit", reason)


def refuted(name: str, statement: str, latex: str, value: Formula, words: str, reason: str = "") -> Proof:
    """The refutation of "value >= 0": the number `value`, evaluated to 30 digits, is negative."""
    number = sp.N(value, 30)
    return Proof(name, statement, latex, f"{words} = {sp.N(number, 6)}", bool(number < 0), "refutation", reason)


def by_hand(name: str, statement: str, latex: str, reason: str) -> Proof:
    """The proof of a step that needs no algebra; `reason` gives the argument in full."""
    return Proof(name, statement, latex, "", False, "by hand", reason)


def told(chart: Chart) -> str:
    """The chart's substitutions in LaTeX."""
    return r",\ ".join(equation(old, new) for substitution in chart for old, new in substitution.items())


def equation(left: Formula, right: Formula) -> str:
    """The equation left = right in LaTeX."""
    return f"{sp.latex(left)} = {sp.latex(right)}"


def reduce(expression: Formula, chart: Chart = ()) -> Formula:
    """The expression in the chart's symbols, simplified."""
    for substitution in chart:
        expression = sp.powdenest(sp.simplify(sp.sympify(expression).subs(substitution)))
    direct = sp.simplify(expression)
    return direct if direct == 0 else sp.simplify(sp.expand(sp.expand_log(direct)))


def _same(value: Formula, claimed: Formula) -> bool:
    return value == claimed or (not claimed.is_infinite and reduce(value - claimed) == 0)
