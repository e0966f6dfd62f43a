"""A Theorem: statement, hypotheses, argument in words, algebra as proofs."""

from dataclasses import dataclass

from analysis.theory.algebra.proof import Proof, prose


@dataclass(frozen=True)
class Theorem:
    """One statement.

    id, title: "T2", "exact identity".
    statement: in LaTeX.
    hypotheses: what it needs; leave one out and its check's control shows what happens.
    argument: the proof in words, around the algebra of `proofs`.
    proofs: the algebra.
    literature: where it comes from, from memory.
    claims: of the paper, as numbered in the project's facts, on which it bears.
    notebook: where it is derived and checked.
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
        """sympy settled all the algebra."""
        return all(proof.proved for proof in self.proofs)

    def _repr_markdown_(self) -> str:
        needs = "\n".join(f"- {prose(one)}" for one in self.hypotheses)
        algebra = "\n\n".join(proof._repr_markdown_() for proof in self.proofs)
        head = f"### {self.id}: {self.title}\n\n$$ {self.statement} $$\n\nHypotheses:\n\n{needs}"
        return f"{head}\n\n**Proof.** {prose(self.argument)}\n\n{algebra}\n\n*{self.literature}*"
