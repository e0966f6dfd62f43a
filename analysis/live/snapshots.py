"""A snapshot of the curriculum at one moment of a run: samples of the generator, their losses and weights."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from analysis.checks import validate
from cudfkd.base.errors import ConfigError
from cudfkd.curriculum import weigh
from cudfkd.engine.run import Run, load_run
from cudfkd.evaluation import Estimate, average
from cudfkd.losses import DIVERGENCES
from cudfkd.models import Generator
from cudfkd.models.normalize import Normalize


class Snapshot(NamedTuple):
    """n samples from fixed latents after `epoch` epochs, with the networks in eval mode.

    epoch: number of epochs before the snapshot.
    lam: the pace after that epoch, 0 if the run's metrics have none.
    images: values in [0, 1].
    labels: the teacher's class of each image.
    losses: the loss that the student descends, of each image.
    weights: the curriculum's weight of each loss at pace lam.
    """

    epoch: int
    lam: float
    images: Float[Tensor, "n channels size size"]
    labels: Int[Tensor, " n"]
    losses: Float[Tensor, " n"]
    weights: Float[Tensor, " n"]


@torch.no_grad()
def snapshot(run: Run, teacher: nn.Module, epoch: int | None = None, n: int = 1024, seed: int = 0) -> Snapshot:
    """Samples of a run's generator after an epoch. The latents are always the same, so that epochs can be compared.

    Arguments:
        run: a CuDFKD run. For an `epoch` it needs a folder that kept this epoch.
        teacher: the run's teacher.
        epoch: number of the epoch, counted from 1; None: the last epoch, with the networks in `run`.
        n: number of samples.
        seed: seed of the latents.

    Raises:
        ConfigError: the run has no folder or did not keep the epoch, or its method has no generator.
    """
    if epoch is not None:
        if run.path is None:
            raise ConfigError(f"epoch = {epoch} cannot be had: this run was not written to a folder")
        run = load_run(run.path, epoch=epoch)
    if not isinstance(run.generator, Generator):
        raise ConfigError(f"method {run.config.method!r} has no generator to take samples from")
    number = epoch or run.config.epochs
    normalize = Normalize(run.config.mean, run.config.std)
    z = torch.randn(n, run.generator.latent_dim, generator=torch.Generator().manual_seed(validate.seed(seed)))
    images = run.generator.cpu().eval()(z)
    t, s = (network.cpu().eval()(normalize(images)) for network in (teacher, run.student))
    losses = DIVERGENCES[run.config.options.loss](t, s, run.config.options.temperature)
    lam = float(run.rows[number - 1]["lam"] or 0.0)
    weights = weigh(run.config.curriculum, losses, lam).weights
    return Snapshot(number, lam, images, t.argmax(1), losses, weights)


def by_class(taken: Snapshot, classes: int, each: int) -> list[Tensor]:
    """The first `each` images of every class (the teacher's label); a class may have fewer."""
    return [taken.images[taken.labels == label][:each] for label in range(classes)]


def easiest_to_hardest(taken: Snapshot, count: int) -> Tensor:
    """Indices of `count` samples at equal steps of rank, from the smallest loss to the largest loss."""
    order = taken.losses.argsort(stable=True)
    return order[torch.linspace(0, len(order) - 1, count).round().long()]


def change_in_loss(early: Snapshot, late: Snapshot) -> Estimate:
    """Mean over latents of (late loss - early loss), paired by latent, with its 95 % interval.

    Raises:
        ConfigError: the snapshots have different numbers of samples.
    """
    if len(early.losses) != len(late.losses):
        raise ConfigError(f"snapshots of {len(early.losses)} and {len(late.losses)} samples cannot be paired")
    return average((late.losses - early.losses).double())
