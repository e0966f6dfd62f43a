"""The state of a twin whose rounds make a batch for a pool, and parts that the loops of such twins share.

The pool is ours: it keeps bytes, and the student's batches are random draws. All further parts are written from the
authors' code, without the package's parts.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from cudfkd import DistillConfig
from tests.cudfkd.methods.twin import Start, Twin
from tests.cudfkd.methods.twins import batch_kl

SIZE, CLASSES = 16, 10


class ImageTwin(Twin):
    """The state of a twin whose rounds make a batch for a pool.

    The run draws weights from torch's global generator, which has the run's seed at its start. The twin seeds the
    global generator alike, and draws the same weights in the same order.
    """

    def __init__(self, c: DistillConfig, teacher: nn.Module, start: Start, fault: str) -> None:
        super().__init__(c, teacher, Start(start.student), fault)
        torch.manual_seed(c.seed)
        self.norms = [layer for layer in self.teacher.modules() if isinstance(layer, nn.BatchNorm2d)]
        self.bytes: list[Tensor] = []
        self.batches = 0

    def new_generator(self) -> nn.Module:
        """A generator with torch's initial weights."""
        maps, small = 4 * self.o.generator_width, SIZE // 4
        layers: list[nn.Module] = [nn.Linear(self.o.latent_dim, maps * small**2), nn.Unflatten(1, (maps, small, small))]
        layers += [nn.BatchNorm2d(maps)]
        for wide in (maps, maps // 2):
            layers += [nn.Upsample(scale_factor=2), nn.Conv2d(wide, wide // 2, 3, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(wide // 2), nn.LeakyReLU(0.2)]
        return nn.Sequential(*layers, nn.Conv2d(maps // 4, 1, 3, padding=1), nn.Sigmoid())

    def start_again(self, network: nn.Module) -> None:
        """Draws N(0, 0.02) for weights, and N(1, 0.02) for the scales of BatchNorm."""
        for layer in network.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d | nn.BatchNorm2d):
                nn.init.normal_(layer.weight, 1.0 if isinstance(layer, nn.BatchNorm2d) else 0.0, 0.02)
                if layer.bias is not None:
                    nn.init.constant_(layer.bias, 0)

    def look(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The teacher's logits, and the inputs of its BatchNorm layers."""
        inputs: list[Tensor] = []
        handles = [layer.register_forward_hook(lambda _, given, __: inputs.append(given[0])) for layer in self.norms]
        t = self.teacher(x)
        for handle in handles:
            handle.remove()
        return t, inputs

    def distance(self, means: list[Tensor], variances: list[Tensor]) -> Tensor:
        """Distance from the stored statistics of the BatchNorm layers."""
        pairs = zip(self.norms, means, variances, strict=True)
        return sum(torch.norm(n.running_var - var) + torch.norm(n.running_mean - mean) for n, mean, var in pairs)

    def uniform(self, *size: int) -> Tensor:
        return torch.rand(*size, generator=self.rng)

    def targets(self, count: int) -> Tensor:
        return self.integers(CLASSES, count).sort()[0]

    def keep(self, images: Tensor) -> None:
        """Puts a batch into the pool, as bytes. The pool is a ring."""
        room = self.o.memory_size
        for image in (images * 255).round():
            self.bytes[self.batches % room : self.batches % room + 1] = [image]
            self.batches += 1

    def learn(self) -> None:
        """The student steps of a round."""
        self.student.train()
        for _ in range(self.c.round_steps):
            index = self.integers(len(self.bytes), self.c.batch_size)
            pixels = torch.stack([self.bytes[i] for i in index.tolist()]).float().div(255).double()
            x = self.seen(views(self, pixels, 2))
            self.study(batch_kl(self.student(x), self.teacher(x), T=20))

    def numbered(self) -> Iterator[int]:
        """The number of the round, for each round. The student is in eval mode while images are made."""
        for number, _ in enumerate(self.rounds()):
            self.student.eval()
            yield number


def views(w: ImageTwin, images: Tensor, pixels: int) -> Tensor:
    """Each image framed in black, cropped at random, and mirrored at random."""
    n, result = len(images), []
    across, down, mirror = w.integers(2 * pixels + 1, n), w.integers(2 * pixels + 1, n), w.integers(2, n)
    for image, a, d, m in zip(images, across.tolist(), down.tolist(), mirror.tolist(), strict=True):
        crop = functional.pad(image, (pixels,) * 4)[:, d : d + SIZE, a : a + SIZE]
        result.append(crop.flip(2) if m else crop)
    return torch.stack(result)


def along(start: Tensor, length: Tensor) -> Tensor:
    """The matrix that resamples one axis: part of an image, from `start` and `length` pixels long, to full length."""
    places = (start + (torch.arange(SIZE) + 0.5) * length / SIZE - 0.5).clamp(0, SIZE - 1)
    return (1 - (places[:, None] - torch.arange(SIZE)).abs()).clamp(min=0)  # linear between two pixels


def boxes(w: ImageTwin, images: Tensor) -> Tensor:
    """A box of each image at full size: a quarter to all of the area, sides 3 : 4 to 4 : 3, mirrored at random."""
    n, result = len(images), []
    area, shape, place = w.uniform(n), w.uniform(n), w.uniform(n, 2)
    area, shape, mirror = 0.25 + 0.75 * area, (4 / 3) ** (2 * shape - 1), w.integers(2, n)
    for i, image in enumerate(images):
        wide, high = ((SIZE**2 * area[i] * s).sqrt().clamp(max=SIZE) for s in (shape[i], 1 / shape[i]))
        rows = along(place[i, 1] * (SIZE - high), high)
        columns = along(place[i, 0] * (SIZE - wide), wide)
        crop = rows @ image @ columns.T
        result.append(crop.flip(2) if mirror[i] else crop)
    return torch.stack(result)


def disagreement(w: ImageTwin, s: Tensor, t: Tensor) -> Tensor:
    """The loss of the adversary: minus KL, where both networks agree on the class."""
    agree = (s.max(1)[1] == t.max(1)[1]).double()
    if w.fault == "adversary of all images":
        agree = torch.ones_like(agree)
    return -(batch_kl(s, t, "none").sum(1) * agree).mean()


def moments(inputs: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    by_channel = [x.transpose(0, 1).flatten(1) for x in inputs]
    return [x.mean(1) for x in by_channel], [x.var(1, unbiased=False) for x in by_channel]


def pooled(inputs: list[Tensor]) -> Tensor:
    return torch.cat([x.mean((2, 3)) for x in inputs], 1)
