"""The state of a twin: a slow loop that starts from a run's networks and draws the run's random numbers."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from math import cos, pi

import torch
from torch import Tensor, nn

from cudfkd import DistillConfig
from cudfkd.callbacks import Callback
from cudfkd.runs.context import Context


@dataclass
class Start(Callback):
    """Copies of a run's networks at its start."""

    student: nn.Module = field(default_factory=nn.Identity)
    modules: dict[str, nn.Module] = field(default_factory=dict)

    def before_run(self, ctx: Context) -> None:
        self.student, self.modules = deepcopy(ctx.student), deepcopy(ctx.modules)


def plain_generator(ours: nn.Module, output: str) -> nn.Module:
    """A network of plain layers with the weights of our generator. Its images are in the units of its output."""
    linear, maps = ours.layers[0], ours.layers[2].num_features
    size = round((linear.out_features / maps) ** 0.5)
    layers: list[nn.Module] = [nn.Linear(linear.in_features, linear.out_features), nn.Unflatten(1, (maps, size, size))]
    layers += [nn.BatchNorm2d(maps)]
    for wide in (maps, maps // 2):
        layers += [nn.Upsample(scale_factor=2), nn.Conv2d(wide, wide // 2, 3, padding=1, bias=False)]
        layers += [nn.BatchNorm2d(wide // 2), nn.LeakyReLU(0.2)]
    layers += [nn.Conv2d(maps // 4, 1, 3, padding=1)]
    layers += {
        "sigmoid": [nn.Sigmoid()],
        "standardised": [nn.Tanh(), nn.BatchNorm2d(1, affine=False)],
        "scaled": [nn.BatchNorm2d(1)],
    }[output]
    network = nn.Sequential(*layers)
    network.load_state_dict(
        dict(zip(network.state_dict(), ours.state_dict().values(), strict=True))
    )  # both list the layers in the same order
    return network


class Twin:
    """The state of a twin: networks, optimizers, random numbers and the number of the step."""

    def __init__(self, c: DistillConfig, teacher: nn.Module, start: Start, fault: str) -> None:
        self.c, self.o, self.fault, self.step = c, c.options, fault, 0
        self.rng = torch.Generator().manual_seed(c.seed)
        self.teacher, self.student = teacher.eval().requires_grad_(False), deepcopy(start.student).train()
        self.sgd = torch.optim.SGD(
            self.student.parameters(), c.lr, momentum=c.momentum, weight_decay=c.weight_decay, fused=False
        )
        self.networks = {
            name: deepcopy(ours) if name == "encoder" else plain_generator(ours, self.o.generator_output)
            for name, ours in start.modules.items()
        }
        self.generator = self.networks.get("generator")
        if self.generator is not None:
            self.adam = torch.optim.Adam(self.generator.parameters(), self.o.generator_lr)

    def rounds(self) -> Iterator[int]:
        """The number of the epoch, for each round."""
        for epoch in range(self.c.epochs):
            for _ in range(self.c.steps_per_epoch // self.c.round_steps):
                yield epoch

    def noise(self, *size: int) -> Tensor:
        return torch.randn(*size, generator=self.rng)

    def integers(self, below: int, count: int) -> Tensor:
        return torch.randint(below, (count,), generator=self.rng)

    def latents(self) -> Tensor:
        return self.noise(self.c.batch_size, self.o.latent_dim)

    def of_the_round(self) -> list[Tensor]:
        """The latents of all student steps of a round."""
        return [self.latents() for _ in range(self.c.round_steps)]

    def seen(self, images: Tensor) -> Tensor:
        """Images in [0, 1], as networks see them."""
        return (images - self.c.mean[0]) / self.c.std[0]

    def set_rate(self, optimizer: torch.optim.Optimizer, lr: float) -> None:
        """Half a cosine over the run."""
        optimizer.param_groups[0]["lr"] = (
            0.5 * lr * (1 + cos(pi * self.step / (self.c.epochs * self.c.steps_per_epoch)))
        )

    def descend(self, optimizer: torch.optim.Optimizer, loss: Tensor, clip: float | None = None) -> None:
        optimizer.zero_grad()
        loss.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], clip)
        optimizer.step()

    def study(self, loss: Tensor, clip: float | None = None) -> None:
        self.set_rate(self.sgd, self.c.lr)
        self.descend(self.sgd, loss, clip)
        self.step += 1

    def made(self, z: Tensor, *, train: bool) -> Tensor:
        with torch.no_grad():
            return self.generator.train(train)(z)
