"""Twins of CMI, DeepInversion and Fast-DFKD: slow loops, written from the authors' code, without the package's parts.

Numbers in the loops are the authors' settings. An option is read only where our docstrings name another value. Each
loop has faults: changes that a test must notice. The pool, the sorted classes, the best batch of DeepInversion and the
warm-up of Fast-DFKD are ours, as the docstrings of the methods say.
"""

from collections.abc import Iterator
from copy import deepcopy

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


def disagreement(s: Tensor, t: Tensor) -> Tensor:
    """The loss of the adversary: minus KL, where both networks agree on the class."""
    agree = (s.max(1)[1] == t.max(1)[1]).double()
    return -(batch_kl(s, t, "none").sum(1) * agree).mean()


def moments(inputs: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    by_channel = [x.transpose(0, 1).flatten(1) for x in inputs]
    return [x.mean(1) for x in by_channel], [x.var(1, unbiased=False) for x in by_channel]


def pooled(inputs: list[Tensor]) -> Tensor:
    return torch.cat([x.mean((2, 3)) for x in inputs], 1)


def cmi(w: ImageTwin) -> None:
    o, n = w.o, w.o.synthesis_batch
    generator = w.new_generator()
    w.start_again(generator)
    generator.to(memory_format=torch.channels_last)  # decides the order in which weights are drawn
    width = sum(layer.num_features for layer in w.norms)
    head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, o.head_width))
    betas = (0.5, 0.999) if w.fault == "betas of the generator for the head" else (0.9, 0.999)
    of_head = torch.optim.Adam(head.parameters(), lr=o.generator_lr, betas=betas)
    bank, at = torch.zeros(o.bank_size, 2 * width), 0
    for _ in w.numbered():
        targets = w.targets(n)
        z = w.noise(n, o.latent_dim).requires_grad_()
        w.start_again(generator)
        adam = torch.optim.Adam([*generator.parameters(), z], lr=o.generator_lr, betas=(0.5, 0.999))
        cost = best = of_best = None
        for _ in range(w.c.round_steps // 2):
            x = generator(z)
            whole = views(w, x, 4)
            t, inputs = w.look(w.seen(x if w.fault == "losses of the uncropped image" else whole))
            s = w.student(w.seen(x if w.fault == "losses of the uncropped image" else whole))
            loss = 1 * w.distance(*moments(inputs)) + 0.5 * functional.cross_entropy(t, targets)
            loss = loss + 0.5 * disagreement(s, t)
            _, local_inputs = w.look(w.seen(boxes(w, x)))
            local, overall = pooled(local_inputs), pooled(inputs)
            count = min(o.bank_draw, at, o.bank_size) if w.fault != "no bank" else 0
            old = bank[:0]
            if at:
                old = bank[torch.randperm(min(at, o.bank_size), generator=w.rng)[:count]]
            old_local, old_overall = old.chunk(2, 1)
            local_all, overall_all = torch.cat([local, old_local]), torch.cat([overall, old_overall])
            if w.fault == "anchors and positives exchanged":
                local_all, overall_all = overall_all, local_all
            anchors = functional.normalize(head(local_all))
            positives = functional.normalize(head(overall_all))
            if w.fault != "positives that learn":
                positives = positives.detach()
            each = functional.cross_entropy(anchors @ positives.T / 0.1, torch.arange(n + count), reduction="none")
            loss = loss + 0.8 * (each[:n].mean() + each[n:].mean() if count else each.mean())
            if best is None or loss.item() < cost or w.fault == "the last batch":
                cost, best, of_best = loss.item(), x.detach(), torch.cat([local, overall], 1).detach()
            adam.zero_grad()
            of_head.zero_grad()
            loss.backward()
            adam.step()
            of_head.step()
        for feature in of_best:
            bank[at % o.bank_size] = feature
            at += 1
        w.keep(best)
        w.learn()
    w.networks |= {"generator": generator, "head": head}


def between(s: Tensor, t: Tensor, *, true: bool) -> Tensor:
    """The disagreement of ADI, mean over the batch; or the Jensen-Shannon divergence."""
    p, q = (functional.softmax(x / 3, 1) for x in (s, t))
    middle = (p + q) / 2
    if true:
        halves = [(x * (x.log() - middle.log())).sum(1).mean() for x in (p, q)]
    else:
        p, q, middle = (torch.clamp(x, 0.01, 0.99) for x in (p, q, middle))
        halves = [functional.kl_div(x.log(), middle, reduction="batchmean") for x in (p, q)]
    return 0.5 * halves[0] + 0.5 * halves[1]


def variation(x: Tensor, *, diagonals: bool) -> Tensor:
    across, down = x[..., 1:] - x[..., :-1], x[:, :, 1:] - x[:, :, :-1]
    steps = [across, down, down[..., 1:] + across[:, :, :-1], down[..., :-1] - across[:, :, :-1]]
    return sum(step.abs().mean() for step in (steps if diagonals else steps[:2]))


def deepinversion(w: ImageTwin) -> None:
    black, white = ((value - w.c.mean[0]) / w.c.std[0] for value in (0, 1))
    n, reach = w.o.synthesis_batch, SIZE // 8
    for _ in w.numbered():
        targets = w.targets(n)
        x = w.noise(n, 1, SIZE, SIZE).requires_grad_()
        adam = torch.optim.Adam([x], lr=0.1, betas=(0.5, 0.999 if w.fault == "betas of CMI" else 0.99))
        cost, best = None, x
        for _ in range(round(2.5 * w.c.round_steps)):
            shift = reach - w.integers(2 * reach + 1, 2)
            moved = torch.roll(x, tuple(shift.tolist()), (2, 3))
            if w.integers(2, 1):
                moved = torch.flip(moved, (3,))
            t, inputs = w.look(moved)
            loss = 10 * w.distance(*moments(inputs)) + 1 * functional.cross_entropy(t, targets)
            loss = loss - 1 * between(w.student(moved), t, true=w.fault == "true JS")
            smooth = moved if w.fault == "TV after the jitter" else x
            loss = loss + 0.001 * variation(smooth, diagonals=w.fault != "TV without diagonals")
            if cost is None or loss.item() < cost or w.fault == "the last batch":
                cost, best = loss.item(), x.detach().clamp(black, white)
            adam.zero_grad()
            loss.backward()
            adam.step()
            with torch.no_grad():
                x.clamp_(black, white)
        w.keep(best * w.c.std[0] + w.c.mean[0])
        w.learn()


class Hooked:
    """The averages of the statistics over rounds, for each BatchNorm layer."""

    def __init__(self, momentum: float) -> None:
        self.momentum = momentum
        self.average: tuple[list[Tensor], list[Tensor]] | None = None

    def mix(self, now: tuple[list[Tensor], list[Tensor]]) -> tuple[list[Tensor], list[Tensor]]:
        if self.average is None or self.momentum == 0:
            return now
        a = self.momentum
        means, variances = (
            [a * x + (1 - a) * y for x, y in zip(old, new, strict=True)]
            for old, new in zip(self.average, now, strict=True)
        )
        return means, variances


def a_batch(w: ImageTwin, meta: nn.Module, of_meta: torch.optim.Optimizer, hooks: Hooked, adv: float) -> Tensor:
    """The inner steps of Fast-DFKD and a step of the meta generator; returns the best batch."""
    o, n = w.o, w.o.synthesis_batch
    targets = w.targets(n)
    z = w.noise(n, o.latent_dim).requires_grad_()
    fast = deepcopy(meta)
    groups = [{"params": fast.parameters()}, {"params": [z], "lr": 0.01}]
    adam = torch.optim.Adam(groups, lr=o.generator_lr, betas=(0.5, 0.999))
    of_meta.zero_grad()
    gathered = [torch.zeros_like(p) for p in meta.parameters()]
    cost = best = None
    for _ in range(o.inner_steps):
        x = fast(z)
        v = w.seen(x if w.fault == "no views" else views(w, x, 4))
        t, inputs = w.look(v)
        now = moments(inputs)
        loss = 10 * w.distance(*hooks.mix(now)) + 0.5 * functional.cross_entropy(t, targets)
        if adv:
            loss = loss + adv * disagreement(w.student(v), t)
        if best is None or loss.item() < cost or w.fault == "the last batch":
            cost, best = loss.item(), x.detach()
        adam.zero_grad()
        loss.backward()
        for total, p in zip(gathered, fast.parameters(), strict=True):
            if w.fault == "meta step without the sum":
                total.zero_()
            total += p.grad
        adam.step()
    for p, total in zip(meta.parameters(), gathered, strict=True):
        p.grad = total
    of_meta.step()
    means, variances = hooks.mix(now)
    hooks.average = [x.detach() for x in means], [x.detach() for x in variances]
    return best


def fast_dfkd(w: ImageTwin) -> None:
    o = w.o
    meta = w.new_generator()
    w.start_again(meta)
    meta.to(memory_format=torch.channels_last)
    of_meta = torch.optim.Adam(meta.parameters(), lr=o.generator_lr * o.inner_steps, betas=(0.5, 0.999))
    hooks = Hooked(0.0 if w.fault == "no averages" else 0.9)
    rounds = w.c.epochs * w.c.steps_per_epoch // w.c.round_steps
    for number in w.numbered():
        if number == 0:
            for warm in range(o.warmup):
                a_batch(w, meta, of_meta, hooks, 1.0 * (warm == o.warmup - 1 and w.fault != "warm-up without adversary"))
        if number == round(0.6 * rounds) and w.fault != "no reset":
            for layer in (meta[0], meta[2]):
                around_one = isinstance(layer, nn.BatchNorm2d) and w.fault == "scales around 1"
                nn.init.normal_(layer.weight, float(around_one), 0.02)
                nn.init.constant_(layer.bias, 0)
                if w.fault == "reset of Adam, too":
                    of_meta.state.pop(layer.weight)
        w.keep(a_batch(w, meta, of_meta, hooks, 1.0))
        w.learn()
    w.networks["generator"] = meta
