"""The account of a live run: how much of each change of the objective came from student, lambda and generator.

    Phi_end - Phi_0 = student + lambda + generator,    student = surrogate + concavity

with Phi = mean F_lambda(l_i) over fixed latents. Within a round the generator moves first, then student and lambda take
turns. The identity is one of bookkeeping: it checks the probe and is no evidence for anything. What can be seen from it
is the size of the parts. Signs that theory gives: surrogate falls where the step descends at fixed weights; concavity
<= 0 always (T2); lambda >= 0 where lambda grows (T5); generator has any sign and is bounded (T6).

Sums over samples are rounded once (`math.fsum`), so that small changes of a large objective keep their digits.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import fsum, log, nan
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from analysis.checks import Check, check, validate
from analysis.live.probe import Losses, Probe, Reading
from analysis.theory.drift import drift
from cudfkd import regularizers
from cudfkd.curriculum import DEAD_WEIGHT, Curriculum

TOLERANCE = 1e-12  # of the summed magnitudes
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


class Student(NamedTuple):
    """A change of Phi by the student: change = surrogate + concavity, concavity <= 0. plain: that of the mean loss."""

    change: float
    surrogate: float
    concavity: float
    plain: float


@dataclass(frozen=True, eq=False)
class Objective:
    """Phi of a curriculum, for losses (n,) and a pace.

    A weight per sample: mean F(l_i). One a batch: F(mean l_i), the latents standing for one batch. None: mean l_i.
    """

    curriculum: Curriculum

    def value(self, losses: Losses, lam: float) -> float:
        """Phi."""
        return _mean(self._latent(losses, lam))

    def change(self, before: Losses, lam: float, after: Losses, then: float) -> float:
        """Phi(after, then) - Phi(before, lam), rounded once."""
        return _mean(self._latent(after, then), -self._latent(before, lam))

    def student(self, before: Losses, after: Losses, lam: float) -> Student:
        """What a move of the student did, against the surrogate with slopes v*(before)."""
        slopes = self._weight(self._units(before), lam)
        old, new = slopes * self._units(before), slopes * self._units(after)
        bend = _mean(self._latent(after, lam), -self._latent(before, lam), old, -new)
        return Student(self.change(before, lam, after, lam), _mean(new, -old), bend, _mean(after, -before))

    def weights(self, losses: Losses, lam: float) -> Float[Tensor, " n"]:
        """v* of each sample."""
        return self._weight(self._units(losses), lam).expand_as(losses)

    def _units(self, losses: Losses) -> Tensor:
        return losses.mean()[None] if self.curriculum.granularity == "batch" else losses

    def _latent(self, losses: Losses, lam: float) -> Tensor:
        units = self._units(losses)
        plain = self.curriculum.granularity == "none"
        return units if plain else regularizers.get(self.curriculum.regularizer).latent(units, lam)

    def _weight(self, units: Tensor, lam: float) -> Tensor:
        plain = self.curriculum.granularity == "none"
        return torch.ones_like(units) if plain else regularizers.get(self.curriculum.regularizer).weight(units, lam)


@dataclass(frozen=True, eq=False)
class Account:
    """Tables of one run. All have columns start, end (of Phi), student, surrogate, concavity, lambda, generator, plain
    (what the student did to the mean loss), residual, magnitude (the sum of the magnitudes of student, lambda and
    generator), and relative, their quotient.

    steps: a row a student step of the rounds that were read; the generator's turn belongs to the first of a round.
    blocks: a row from one round that was read to the next (to the end): they cover the whole run. Over a block the
        student is taken to move first, at the block's lambda and images, then lambda, then the generator; the columns
        "generator first" and "student last" have the opposite order: the split depends on it, and the sum does not.
    samples: a row a student step: lam, mean weight, dead (share of samples of weight below 0.001), ess (effective share
        of samples), kl (of Q from P, nats), entropy (of Q, nats), gradient, quantiles of the loss.
    drift: a row a generator's turn: gamma and the bounds of T6, coupled and plain; a weight a sample only.
    """

    steps: pd.DataFrame
    blocks: pd.DataFrame
    samples: pd.DataFrame
    drift: pd.DataFrame

    def total(self, table: Literal["steps", "blocks"] = "blocks") -> dict[str, float]:
        """The sum of each part over all rows; for steps, of the rounds that were read."""
        rows = self.steps if table == "steps" else self.blocks
        names = ("student", "surrogate", "concavity", "lambda", "generator")
        return {name: fsum(rows[name].to_numpy(dtype=np.float64)) for name in names}

    def worst(self) -> float:
        """The largest residual of all rows, in units of the row's magnitude."""
        return float(_column([self], "relative").max())

    def covers_all(self) -> bool:
        """Whether every round was read, so that the steps, too, add up to the whole run."""
        return bool((self.blocks["until"] == self.blocks.index + 1).all())


def account(probe: Probe) -> Account:
    """The account of a run that a probe has read. Raises ConfigError unless it has read a round and the end."""
    readings, phi = probe.readings, Objective(probe.curriculum)
    if not any(one.moment == "end" for one in readings):
        validate.refuse("the probe's last reading", readings[-1].moment if readings else None, "the end of a run")
    if not any(one.moment == "paced" for one in readings):
        validate.refuse("the number of rounds read", 0, "1 or more")
    bounds = ["round", "gamma", "coupled", "plain"]
    return Account(
        steps=pd.DataFrame(_steps(phi, readings)).set_index("step"),
        blocks=pd.DataFrame(_blocks(phi, readings)).set_index("round"),
        samples=pd.DataFrame(_samples(phi, readings)).set_index("step"),
        drift=pd.DataFrame(_drifts(probe.curriculum, readings), columns=bounds).set_index("round"),
    )


def closes(accounts: Sequence[Account], controls: Sequence[Account]) -> Check:
    """The identity in every row of every account, a check of the probe: Phi_end - Phi_0 = student + lambda + generator.

    The control: accounts of runs in which something moved the student behind the probe's back.
    """
    return check("account closes", "|Phi_end - Phi_0 - student - lambda - generator| <= 1e-12 sum |parts|", "T6",
                 _column(accounts, "relative"), ("student moved outside its turn", [one.worst() for one in controls]),
                 tolerance=TOLERANCE, by_construction=True)  # fmt: skip


def splits(accounts: Sequence[Account]) -> Check:
    """student = surrogate + concavity in every row. The control leaves the concavity out."""
    student, surrogate, concavity = (_column(accounts, name) for name in ("student", "surrogate", "concavity"))
    size = np.abs(surrogate) + np.abs(concavity)
    size[size == 0] = 1.0
    return check("student = surrogate + concavity", "dPhi = dQ - mean D", "T2",
                 np.abs(student - surrogate - concavity) / size,
                 ("concavity left out", np.abs(student - surrogate) / size), tolerance=TOLERANCE,
                 by_construction=True)  # fmt: skip


def concave(accounts: Sequence[Account]) -> Check:
    """T2 on live steps: the concavity part is <= 0, whatever the student did; a weight a sample or a batch.

    The control takes slopes of 1, those of plain distillation, which are no tangents of F.
    """
    size = np.maximum(1.0, np.abs(_column(accounts, "start")))
    gap = _column(accounts, "student") - _column(accounts, "plain")
    return check("concavity lowers Phi", "-mean D <= 0", "T2", _column(accounts, "concavity") / size,
                 ("slopes of 1 in place of v*", gap / size))  # fmt: skip


def within_drift(accounts: Sequence[Account]) -> Check:
    """T6 on live generator steps: |Gamma| <= mean v*(min(l, l')) |dl| <= mean |dl|. The control: a hundredth of it."""
    rows = pd.concat([one.drift for one in accounts])
    gamma, coupled, plain = (rows[name].to_numpy(dtype=np.float64) for name in ("gamma", "coupled", "plain"))
    return check("live drift is bounded", "|Gamma| <= mean v*(min) |dl| <= mean |dl|", "T6",
                 np.maximum(np.abs(gamma) - coupled, coupled - plain),
                 ("a hundredth of the bound", np.abs(gamma) - coupled / 100), claims=("C3", "C4"))  # fmt: skip


def lambda_lifts(growing: Sequence[Account], falling: Sequence[Account]) -> Check:
    """T5 on live runs: a growing lambda never lowers Phi. The control: runs in which it falls."""
    return check("a growing lambda lifts Phi", "Lambda >= 0 where lambda grows", "T5", -_column(growing, "lambda"),
                 ("lambda falls", -_column(falling, "lambda")))  # fmt: skip


def _steps(phi: Objective, readings: Sequence[Reading]) -> Iterator[dict]:
    for turns in _turns(readings):
        first, last = turns[0], turns[-1]
        generator = lam = 0.0
        student = Student(0.0, 0.0, 0.0, 0.0)
        for before, after in pairwise(turns):
            if after.moment == "synthesized":
                generator = phi.change(before.losses, before.lam, after.losses, after.lam)
            elif after.moment == "stepped":
                student = phi.student(before.losses, after.losses, before.lam)
            elif after.moment == "paced":
                lam = phi.change(before.losses, before.lam, after.losses, after.lam)
        yield {"step": last.step, "round": last.round} | _row(phi, first, last, student, lam, generator)


def _turns(readings: Sequence[Reading]) -> Iterator[list[Reading]]:
    """The readings of each student step, from the end of the one before (or the round's beginning) on."""
    turns: list[Reading] = []
    for one in readings:
        if one.moment == "round":
            turns = [one]
        elif one.moment != "end":
            turns.append(one)
        if one.moment == "paced":
            yield turns
            turns = [one]


def _blocks(phi: Objective, readings: Sequence[Reading]) -> Iterator[dict]:
    ends = [one for one in readings if one.moment in ("round", "end")]
    for first, last in pairwise(ends):
        assert last.crossed is not None
        assert last.earlier is not None
        student = phi.student(first.losses, last.crossed, first.lam)
        lam = phi.change(last.crossed, first.lam, last.crossed, last.lam)
        generator = phi.change(last.crossed, last.lam, last.losses, last.lam)
        yield {"round": first.round, "until": last.round} | _row(phi, first, last, student, lam, generator) | {
            "student last": phi.change(last.earlier, first.lam, last.losses, first.lam),
            "generator first": phi.change(first.losses, first.lam, last.earlier, first.lam),
        }  # fmt: skip


def _row(phi: Objective, first: Reading, last: Reading, student: Student, lam: float, generator: float) -> dict:
    parts = (student.change, lam, generator)
    total = phi.change(first.losses, first.lam, last.losses, last.lam)
    residual, magnitude = fsum((total, *(-part for part in parts))), fsum(map(abs, parts))
    relative = 0.0 if residual == 0 else abs(residual) / magnitude if magnitude else np.inf
    return {
        "start": phi.value(first.losses, first.lam), "end": phi.value(last.losses, last.lam), "student": student.change,
        "surrogate": student.surrogate, "concavity": student.concavity, "plain": student.plain, "lambda": lam,
        "generator": generator,
        "residual": residual, "magnitude": magnitude, "relative": relative,
    }  # fmt: skip


def _samples(phi: Objective, readings: Sequence[Reading]) -> Iterator[dict]:
    for one in readings:
        if one.moment == "before step":
            at = torch.tensor(QUANTILES, dtype=one.losses.dtype, device=one.losses.device)
            quantiles = zip(QUANTILES, torch.quantile(one.losses, at).tolist(), strict=True)
            yield (
                {"step": one.step + 1, "round": one.round, "lam": one.lam, "gradient": one.gradient}
                | _spread(phi.weights(one.losses, one.lam))
                | {"loss": float(one.losses.mean()), **{f"q{100 * p:02.0f}": value for p, value in quantiles}}
            )


def _spread(weights: Tensor) -> dict[str, float]:
    """Q = v / sum v against the uniform P; what depends on Q is NaN where every weight is 0."""
    n, total = len(weights), float(weights.sum())
    q = weights / total
    entropy = float(-torch.xlogy(q, q).sum()) if total else nan
    return {
        "mean weight": total / n,
        "dead": float((weights < DEAD_WEIGHT).double().mean()),
        "ess": 1 / (n * float(q.square().sum())) if total else nan,
        "kl": log(n) - entropy,
        "entropy": entropy,
    }


def _drifts(curriculum: Curriculum, readings: Sequence[Reading]) -> Iterator[dict]:
    if curriculum.granularity != "sample":
        return
    for before, after in pairwise(readings):
        if after.moment == "synthesized":
            parts = drift(curriculum.regularizer, before.lam, before.losses.cpu(), after.losses.cpu())
            yield {"round": after.round, "gamma": parts.gamma, "coupled": parts.coupled, "plain": parts.plain}


def _column(accounts: Sequence[Account], name: str) -> Float[np.ndarray, " rows"]:
    """A column of all steps and blocks."""
    tables = [table for one in accounts for table in (one.steps, one.blocks)]
    return np.concatenate([table[name].to_numpy(dtype=np.float64) for table in tables])


def _mean(*vectors: Tensor) -> float:
    """The mean of a sum of vectors (n,), exact but for one rounding of the sum and one of the quotient."""
    return fsum(value for vector in vectors for value in vector.tolist()) / len(vectors[0])
