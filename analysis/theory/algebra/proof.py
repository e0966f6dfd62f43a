"""A Proof: a statement, its formula in LaTeX, and what sympy reduced it to.

An *identity* is proved when the difference of its sides reduces to 0. A *sign*, when the expression written in
positive symbols (a chart) is a sum and product of positive terms, so that sympy knows its sign. A *limit*, when sympy's
limit minus the claimed one reduces to 0. A *refutation*, when the statement fails at a witness, evaluated to 30 digits.
What is *by hand* is an argument in words; the formula and the reason give it in full, and sympy has no part in it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import sympy as sp

from analysis.theory.algebra.families import Chart, Formula

Kind = Literal["identity", "sign", "limit", "refutation", "by hand"]


@dataclass(frozen=True)
class Proof:
    """A statement about one regularizer or theorem, and how far sympy carries it.

    name: short, the same for all regularizers ("stationarity").
    statement: one sentence.
    latex: the formula, without dollar signs.
    reduced: what the two sides' difference reduced to ("0"), or the form in which the sign is seen.
    proved: sympy settled it; False says that only numbers are offered, and `reason` why.
    kind: identity, sign, limit; refutation (proved that the usual statement fails); by hand (an argument in words).
    reason: what a reader must add by hand; the hypothesis that was changed; the witness.
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
        """One word or sign for a table: 0, sign, limit, fails, by hand, numeric."""
        words = {"identity": "0", "refutation": "fails"}
        return words.get(self.kind, self.kind) if self.proved else "numeric"

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
        return outcomes[self.kind] if self.proved else "Not settled by sympy: checked numerically."


def prose(text: str) -> str:
    """The text for Markdown: outside $...$ an asterisk is one, not the start of italics."""
    parts = text.split("$")
    return "$".join(part if k % 2 else part.replace("*", r"\*").replace("_", r"\_") for k, part in enumerate(parts))


def identity(
    name: str,
    statement: str,
    left: Formula,
    right: Formula = 0,
    chart: Chart = (),
    latex: str = "",
    reason: str = "",
) -> Proof:
    """left = right, proved when their difference reduces to 0."""
    reduced = reduce(left - right, chart)
    return Proof(name, statement, latex or equation(left, right), sp.latex(reduced), reduced == 0, "identity", reason)


def identities(name: str, statement: str, pairs: list[tuple[Formula, Formula]], chart: Chart, symbol: str) -> Proof:
    """Several identities that make up one statement, a line each; `symbol` is what the left sides are called."""
    reduced = [reduce(left - right, chart) for left, right in pairs]
    worst = next((one for one in reduced if one != 0), sp.S.Zero)
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
    """expression >= 0, proved when sympy sees the sign of its form in the chart's positive symbols."""
    reduced = reduce(expression, chart)
    settled = (reduced.is_nonnegative or sp.factor(reduced).is_nonnegative) is True
    latex = rf"{symbol} = {sp.latex(expression)} \ge 0"
    return Proof(name, statement, latex, sp.latex(reduced), settled, "sign", reason, told(chart))


def limits(
    name: str, statement: str, cases: list[tuple[str, Callable[[], Formula], Formula]], reason: str = ""
) -> Proof:
    """Each case is (LaTeX of the limit, a call that takes it, the claimed value)."""
    settled = all(_same(take(), claimed) for _, take, claimed in cases)
    latex = r",\quad ".join(f"{symbol} = {sp.latex(claimed)}" for symbol, _, claimed in cases)
    return Proof(name, statement, latex, "0" if settled else "?", settled, "limit", reason)


def refuted(name: str, statement: str, latex: str, value: Formula, words: str, reason: str = "") -> Proof:
    """The statement "value >= 0" fails: `value`, a number, is negative beyond doubt (30 digits)."""
    number = sp.N(value, 30)
    return Proof(name, statement, latex, f"{words} = {sp.N(number, 6)}", bool(number < 0), "refutation", reason)


def by_hand(name: str, statement: str, latex: str, reason: str) -> Proof:
    """A step that needs no algebra; `reason` gives it in full."""
    return Proof(name, statement, latex, "", True, "by hand", reason)


def told(chart: Chart) -> str:
    """The chart's substitutions in LaTeX."""
    return r",\ ".join(equation(old, new) for substitution in chart for old, new in substitution.items())


def equation(left: Formula, right: Formula) -> str:
    """left = right in LaTeX."""
    return f"{sp.latex(left)} = {sp.latex(right)}"


def reduce(expression: Formula, chart: Chart = ()) -> Formula:
    """The expression in the chart's symbols, simplified."""
    for substitution in chart:
        expression = sp.powdenest(sp.simplify(sp.sympify(expression).subs(substitution)))
    direct = sp.simplify(expression)
    return direct if direct == 0 else sp.simplify(sp.expand(sp.expand_log(direct)))


def _same(value: Formula, claimed: Formula) -> bool:
    return value == claimed or (not claimed.is_infinite and reduce(value - claimed) == 0)
