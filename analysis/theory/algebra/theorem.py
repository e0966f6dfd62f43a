"""A Theorem: its statement, its hypotheses, the argument in words, and the algebra as proofs."""

from dataclasses import dataclass

from analysis.theory.algebra.proof import Proof, prose

HEADING = "Hypotheses (in brackets: the control or counterexample that shows the need for it):"
NOT_SHOWN = "no counterexample here"


def needs(hypothesis: str, *shown_by: str) -> str:
    """The line of a hypothesis: the hypothesis itself, and what shows that the theorem fails without it.

    Arguments:
        shown_by: names of counterexamples (`analysis.theory.counterexamples`) or of controls. Without a name the line
            says that this project gives no counterexample.
    """
    return f"{hypothesis} (without it: {'; '.join(shown_by) or NOT_SHOWN})"


@dataclass(frozen=True)
class Theorem:
    """One theorem.

    id: for example "T2".
    title: for example "exact identity".
    statement: the formula in LaTeX.
    hypotheses: the conditions of the theorem, each made by `needs`.
    argument: the proof in words, around the algebra of `proofs`.
    proofs: the algebra.
    literature: the sources, from memory.
    claims: the paper's claims on which the theorem bears, as numbered in the project's facts.
    notebook: the number of the notebook that derives and checks the theorem.
    """

    id: str
    title: str
    statement: str
    hypotheses: tuple[str, ...]
    argument: str
    proofs: tuple[Proof, ...]
    literature: str
    claims: tuple[str, ...] = ("C4",)
    notebook: str = ""

    @property
    def proved(self) -> bool:
        """Whether there is algebra and sympy settled all of it. The steps in `by_hand` are argued in words instead."""
        algebra = [proof.proved for proof in self.proofs if not proof.argued]
        return bool(algebra) and all(algebra)

    @property
    def by_hand(self) -> tuple[str, ...]:
        """The names of the steps that are argued in words."""
        return tuple(proof.name for proof in self.proofs if proof.argued)

    def _repr_markdown_(self) -> str:
        needs = "\n".join(f"- {prose(hypothesis)}" for hypothesis in self.hypotheses)
        algebra = "\n\n".join(proof._repr_markdown_() for proof in self.proofs)
        head = f"### {self.id}: {self.title}\n\n$$ {self.statement} $$\n\n{HEADING}\n\n{needs}"
        return f"{head}\n\n**Proof.** {prose(self.argument)}\n\n{algebra}\n\n*{self.literature}*"
