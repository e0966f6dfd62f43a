"""A Counterexample: a false statement and the numbers that refute it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Counterexample:
    """A counterexample.

    name: a short name.
    refutes: the false statement.
    theorem: the theorem with the missing hypothesis.
    setting: the example in words.
    numbers: the numbers that refute the statement, by name.
    """

    name: str
    refutes: str
    theorem: str
    setting: str
    numbers: dict[str, float]
