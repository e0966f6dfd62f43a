"""Checks of an epoch before it is kept: all numbers are finite, and the curriculum lets the student move."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from cudfkd.base.errors import TrainingError
from cudfkd.evaluation import predict
from cudfkd.runs.context import Context
from cudfkd.runs.log import NotFinite
from cudfkd.runs.metrics import Row, dead


def refuse_not_finite(
    ctx: Context, bad: NotFinite | None, networks: Mapping[str, nn.Module], folder: Path | None
) -> None:
    """Raises TrainingError if an epoch left a number that is not finite. The line names the last good checkpoint.

    Arguments:
        ctx: state of the run.
        bad: the first losses of the epoch that were not finite; None if all were finite.
        networks: the run's networks by name, with "student" among them. The last step of an epoch may make their
            weights infinite or NaN after its loss was logged.
        folder: folder of the run, or None.
    """
    if bad is not None:
        culprits, step = ", ".join(name for name in bad.terms if not name.startswith("sample_")), bad.step
    else:
        culprits, step = ", ".join(_broken(ctx, networks)), ctx.step
    if not culprits:
        return
    kept = "no epoch was complete" if ctx.epoch == 0 else f"epoch {ctx.epoch} was the last good one"
    where = f", its checkpoint is in {folder}" if ctx.epoch and folder else ""
    raise TrainingError(
        f"not finite after {step} student steps: {culprits}; {kept}{where}: lower lr or that term's weight"
    )


def why_dead(ctx: Context, metrics: Row) -> str | None:
    """Returns the error line if the student could not move in any step of the last round; else None."""
    steps = ctx.config.round_steps
    if not dead(ctx.log.all("sample_weights")[-steps:]).all():
        return None
    middle = metrics["loss_q50"]
    return (
        f"the curriculum is dead in epoch {ctx.epoch}: no sample of the last {steps} student"
        f" steps weighs 0.001 or more, because the losses (median {middle:.3g}) are far above lambda"
        f" ({metrics['lam']:.3g}), so the student cannot move: set lam_start near {middle:.2g} or above,"
        " let it follow the losses (pace quantile), or take a loss on a smaller scale (l1)"
    )


@torch.no_grad()
def _broken(ctx: Context, networks: Mapping[str, nn.Module]) -> list[str]:
    """Names the networks with weights that are not finite, and the student if its logits are not finite."""
    sound = {
        f"weights of the {name}": torch.stack([weights.isfinite().all() for weights in network.parameters()]).all()
        for name, network in networks.items()
    }
    sound["logits of the student"] = predict(networks["student"], ctx.probe(), ctx.device).isfinite().all()
    return [name for name, fine in sound.items() if not fine]
