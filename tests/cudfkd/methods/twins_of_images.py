"""Twins of CMI, DeepInversion and Fast-DFKD: slow loops, written from the authors' code, without the package's parts.

Numbers in the loops are the authors' settings. An option is read only where our docstrings name another value. Each
loop has faults: changes that a test must notice. Four parts are ours, as the docstrings of the methods say: the pool,
the local crops of CMI, the choice of DeepInversion's best batch, and the warm-up of Fast-DFKD, which leaves no batch in
the pool. The classes of a batch are sorted, as in the code of CMI; the code of Fast-DFKD leaves them in random order.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.cudfkd.methods.twin_of_images import SIZE, ImageTwin, boxes, disagreement, moments, pooled, views


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
            loss = 1 * w.distance(*moments(inputs)) + 1 * functional.cross_entropy(t, targets)
            loss = loss + 0.5 * disagreement(w, s, t)
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
    w.networks["generator"] = generator


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


class Averages:
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


def a_batch(w: ImageTwin, meta: nn.Module, of_meta: torch.optim.Optimizer, averages: Averages, adv: float) -> Tensor:
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
        loss = 10 * w.distance(*averages.mix(now)) + 0.5 * functional.cross_entropy(t, targets)
        if adv:
            loss = loss + adv * disagreement(w, w.student(v), t)
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
    means, variances = averages.mix(now)
    averages.average = [x.detach() for x in means], [x.detach() for x in variances]
    return best


def fast_dfkd(w: ImageTwin) -> None:
    o = w.o
    meta = w.new_generator()
    w.start_again(meta)
    meta.to(memory_format=torch.channels_last)
    of_meta = torch.optim.Adam(meta.parameters(), lr=o.generator_lr * o.inner_steps, betas=(0.5, 0.999))
    averages = Averages(0.0 if w.fault == "no averages" else 0.9)
    rounds = w.c.epochs * w.c.steps_per_epoch // w.c.round_steps
    for number in w.numbered():
        if number == 0:
            for warm in range(o.warmup):
                last = warm == o.warmup - 1 and w.fault != "warm-up without adversary"
                a_batch(w, meta, of_meta, averages, 1.0 if last else 0.0)
        if number == round(0.6 * rounds) and w.fault != "no reset":
            for layer in (meta[0], meta[2]):
                around_one = isinstance(layer, nn.BatchNorm2d) and w.fault == "scales around 1"
                nn.init.normal_(layer.weight, float(around_one), 0.02)
                nn.init.constant_(layer.bias, 0)
                if w.fault == "reset of Adam, too":
                    of_meta.state.pop(layer.weight)
        w.keep(a_batch(w, meta, of_meta, averages, 1.0))
        w.learn()
    w.networks["generator"] = meta
