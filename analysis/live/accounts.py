"""The account of a live run: how much of each change of the objective came from student, lambda and generator.

    Phi_end - Phi_0 = student + lambda + generator,    student = surrogate + concavity

Phi is the mean of F_lambda(l_i) over fixed latents. Within a round the generator moves first; then student and lambda
take turns. The identity is bookkeeping: it checks the probe and is no evidence for any theorem. It shows how large each
part is. Theory gives these signs:

    surrogate   < 0 where the step descends at fixed weights
    concavity   <= 0 always (T2)
    lambda      >= 0 where lambda grows (T5)
    generator   any sign; its size is bounded (T6)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import fsum, log, nan
from typing import Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from analysis.checks import Check, check, validate
from analysis.live.objective import LiveObjective, StudentPart
from analysis.live.probe import Probe, Reading
from analysis.theory.drift import drift
from cudfkd.curriculum import DEAD_WEIGHT, Curriculum

TOLERANCE = 1e-12  # as a share of the summed magnitudes of the parts
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, eq=False)
class Account:
    """Tables of one run: steps, blocks, samples and drift.

    Columns of `steps` and `blocks`:
        start: Phi before the first move of the row.
        end: Phi after its last move.
        student: change of Phi by the student = surrogate + concavity.
        surrogate: change of the surrogate, with the weights fixed.
        concavity: student - surrogate, <= 0.
        lambda: change of Phi by lambda.
        generator: change of Phi by the generator.
        plain: change of the mean loss by the student.
        residual: end - start - student - lambda - generator.
        magnitude: |student| + |lambda| + |generator|.
        relative: |residual| / magnitude.

    `steps` has a row for each student step of the rounds that were read. The generator's turn counts in the first step
    of its round.

    `blocks` has a row from each round that was read to the next one read, or to the end. The rows cover the complete
    run. The split assumes an order: the student moves first, at the block's lambda and images, then lambda, then the
    generator. Two more columns assume the opposite order; the split depends on the order, and the sum does not.
        until: the round at which the block ends.
        generator first: change of Phi by the generator if it moves first.
        student last: change of Phi by the student if it moves last.

    `samples` has a row for each student step:
        round: the round of the step.
        lam: the pace.
        gradient: norm of the gradient of Phi by the student's parameters.
        mean weight: mean of the weights.
        dead: share of samples of weight below 0.001.
        ess: effective sample size as a share of the samples.
        kl: KL divergence of Pi from P, nats.
        entropy: entropy of Pi, nats.
        loss: mean loss.
        q05, q25, q50, q75, q95: quantiles of the loss.

    `drift` has a row for each turn of the generator. It has rows only where the curriculum has a weight a sample.
        gamma: change of Phi by the generator.
        coupled: the smaller bound of T6.
        plain: the larger bound of T6.
    """

    steps: pd.DataFrame
    blocks: pd.DataFrame
    samples: pd.DataFrame
    drift: pd.DataFrame

    def total(self, table: Literal["steps", "blocks"] = "blocks") -> dict[str, float]:
        """The sum of each part over all rows. The steps cover only the rounds that were read."""
        rows = self.steps if table == "steps" else self.blocks
        names = ("student", "surrogate", "concavity", "lambda", "generator")
        return {name: fsum(rows[name].to_numpy(dtype=np.float64)) for name in names}

    def worst(self) -> float:
        """The largest residual of any row, as a share of the row's magnitude."""
        return float(_column([self], "relative").max())

    def covers_all(self) -> bool:
        """True if every round was read: then the steps, too, add up to the complete run."""
        return bool((self.blocks["until"] == self.blocks.index + 1).all())


def account(probe: Probe) -> Account:
    """The account of a run that a probe has read.

    Raises:
        ConfigError: the probe has not read the end of a run, or has read no round.
    """
    readings, phi = probe.readings, LiveObjective(probe.curriculum)
    if not any(reading.moment == "end" for reading in readings):
        validate.refuse("the probe's last reading", readings[-1].moment if readings else None, "the end of a run")
    if not any(reading.moment == "paced" for reading in readings):
        validate.refuse("the number of rounds read", 0, "1 or more")
    bounds = ["round", "gamma", "coupled", "plain"]
    return Account(
        steps=pd.DataFrame(_steps(phi, readings)).set_index("step"),
        blocks=pd.DataFrame(_blocks(phi, readings)).set_index("round"),
        samples=pd.DataFrame(_samples(phi, readings)).set_index("step"),
        drift=pd.DataFrame(_drifts(probe.curriculum, readings), columns=bounds).set_index("round"),
    )


def closes(accounts: Sequence[Account], controls: Sequence[Account]) -> Check:
    """The check that Phi_end - Phi_0 = student + lambda + generator in every row of every account; it tests the probe.

    The control has accounts of runs in which something moved the student outside the student's turn.
    """
    return check("account closes", "|Phi_end - Phi_0 - student - lambda - generator| <= 1e-12 sum |parts|", "T6",
                 _column(accounts, "relative"), ("student moved outside its turn", [run.worst() for run in controls]),
                 tolerance=TOLERANCE, by_construction=True)  # fmt: skip


def splits(accounts: Sequence[Account]) -> Check:
    """The check that student = surrogate + concavity in every row. The control leaves the concavity out."""
    student, surrogate, concavity = (_column(accounts, name) for name in ("student", "surrogate", "concavity"))
    size = np.abs(surrogate) + np.abs(concavity)
    size[size == 0] = 1.0
    return check("student = surrogate + concavity", "dPhi = dQ - mean D", "T2",
                 np.abs(student - surrogate - concavity) / size,
                 ("concavity left out", np.abs(student - surrogate) / size), tolerance=TOLERANCE,
                 by_construction=True)  # fmt: skip


def concave(accounts: Sequence[Account]) -> Check:
    """The check of T2 on live steps: the concavity part is <= 0 for every move of the student.

    The accounts need a curriculum with a weight a sample or a weight a batch. The control takes slopes of 1. They are
    the slopes of plain distillation and no tangents of F.
    """
    size = np.maximum(1.0, np.abs(_column(accounts, "start")))
    gap = _column(accounts, "student") - _column(accounts, "plain")
    return check("concavity lowers Phi", "-mean D <= 0", "T2", _column(accounts, "concavity") / size,
                 ("slopes of 1 in place of v*", gap / size))  # fmt: skip


def within_drift(accounts: Sequence[Account]) -> Check:
    """The check of T6 on live generator steps: |Gamma| <= mean v*(min(l, l')) |dl| <= mean |dl|.

    The control takes a hundredth of the coupled bound.
    """
    rows = pd.concat([run.drift for run in accounts])
    gamma, coupled, plain = (rows[name].to_numpy(dtype=np.float64) for name in ("gamma", "coupled", "plain"))
    return check("live drift is bounded", "|Gamma| <= mean v*(min) |dl| <= mean |dl|", "T6",
                 np.maximum(np.abs(gamma) - coupled, coupled - plain),
                 ("a hundredth of the bound", np.abs(gamma) - coupled / 100), claims=("C3", "C4"))  # fmt: skip


def lambda_lifts(growing: Sequence[Account], falling: Sequence[Account]) -> Check:
    """The check of T5 on live runs: a growing lambda never lowers Phi. The control has runs in which lambda falls."""
    return check("a growing lambda lifts Phi", "Lambda >= 0 where lambda grows", "T5", -_column(growing, "lambda"),
                 ("lambda falls", -_column(falling, "lambda")))  # fmt: skip


def _steps(phi: LiveObjective, readings: Sequence[Reading]) -> Iterator[dict]:
    for turns in _turns(readings):
        first, last = turns[0], turns[-1]
        generator = lam = 0.0
        student = StudentPart(0.0, 0.0, 0.0, 0.0)
        for before, after in pairwise(turns):
            if after.moment == "synthesized":
                generator = phi.change(before.losses, before.lam, after.losses, after.lam)
            elif after.moment == "stepped":
                student = phi.student(before.losses, after.losses, before.lam)
            elif after.moment == "paced":
                lam = phi.change(before.losses, before.lam, after.losses, after.lam)
        yield {"step": last.step, "round": last.round} | _row(phi, first, last, student, lam, generator)


def _turns(readings: Sequence[Reading]) -> Iterator[list[Reading]]:
    """The readings of each student step, from the end of the step before it (or from the start of the round)."""
    turns: list[Reading] = []
    for reading in readings:
        if reading.moment == "round":
            turns = [reading]
        elif reading.moment != "end":
            turns.append(reading)
        if reading.moment == "paced":
            yield turns
            turns = [reading]


def _blocks(phi: LiveObjective, readings: Sequence[Reading]) -> Iterator[dict]:
    ends = [reading for reading in readings if reading.moment in ("round", "end")]
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


def _row(phi: LiveObjective, first: Reading, last: Reading, student: StudentPart, lam: float, generator: float) -> dict:
    parts = (student.change, lam, generator)
    total = phi.change(first.losses, first.lam, last.losses, last.lam)
    residual, magnitude = fsum((total, *(-change for change in parts))), fsum(map(abs, parts))
    relative = 0.0 if residual == 0 else abs(residual) / magnitude if magnitude else np.inf
    return {
        "start": phi.value(first.losses, first.lam), "end": phi.value(last.losses, last.lam), "student": student.change,
        "surrogate": student.surrogate, "concavity": student.concavity, "plain": student.plain, "lambda": lam,
        "generator": generator,
        "residual": residual, "magnitude": magnitude, "relative": relative,
    }  # fmt: skip


def _samples(phi: LiveObjective, readings: Sequence[Reading]) -> Iterator[dict]:
    for reading in readings:
        if reading.moment == "before step":
            levels = torch.tensor(QUANTILES, dtype=reading.losses.dtype, device=reading.losses.device)
            quantiles = zip(QUANTILES, torch.quantile(reading.losses, levels).tolist(), strict=True)
            yield (
                {"step": reading.step + 1, "round": reading.round, "lam": reading.lam, "gradient": reading.gradient}
                | _spread(phi.weights(reading.losses, reading.lam))
                | {"loss": float(reading.losses.mean()), **{f"q{100 * p:02.0f}": value for p, value in quantiles}}
            )


def _spread(weights: Tensor) -> dict[str, float]:
    """Statistics of Pi = v / sum v against the uniform P. Where every weight is 0, ess, kl and entropy are NaN."""
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
    """A column of the steps and blocks of all accounts."""
    tables = [table for run in accounts for table in (run.steps, run.blocks)]
    return np.concatenate([table[name].to_numpy(dtype=np.float64) for table in tables])
