"""Tiny live runs for the tests of the probe and of the account of its readings."""

import torch
from torch import nn

import cudfkd
from analysis.live.probe import Probe
from cudfkd import DistillConfig, models
from cudfkd.callbacks import Callback

OPTIONS = {"loss": "l1", "latent_dim": 8, "generator_width": 2, "generator_lr": 1e-2}


def config(**changes) -> DistillConfig:
    options = OPTIONS | changes.pop("options", {})
    base = {"epochs": 2, "steps_per_epoch": 6, "round_steps": 2, "batch_size": 8, "image_size": 16, "channels": 1}
    return DistillConfig(**base | changes, options=options)


def teacher() -> nn.Module:
    """A teacher with BatchNorm statistics that differ from their initial values."""
    network = models.build("lenet5", image_size=16, seed=1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network.train()(torch.rand(32, 1, 16, 16))
    return network.eval()


def student() -> nn.Module:
    return models.build("lenet5-half", image_size=16, seed=2)


def probed(
    cfg: DistillConfig, *others: Callback, probe: Probe | None = None, network: nn.Module | None = None
) -> tuple[Probe, nn.Module]:
    """A probe after a run that it read at every round, and the run's student. Other callbacks come before the probe."""
    probe = probe or Probe(every=1, samples=16)
    network = network or student()
    cudfkd.distill(teacher(), network, cfg, callbacks=[*others, probe])
    return probe, network


class Meddler(Callback):
    """Moves the student a little after each lambda update, outside all turns."""

    def after_lambda_update(self, ctx) -> None:
        with torch.no_grad():
            next(ctx.student.parameters()).add_(1e-3)
