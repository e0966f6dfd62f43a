"""CuDFKD's loop as its authors' public code runs it: the plain loop that the engine is timed and checked against.

As in the authors' code: float32, images in NCHW, optimizers that are not fused, BatchNorm statistics measured in every
forward pass of the teacher, gradients of teacher and student in the generator's step, which nobody uses (`frozen`
spares them), a fresh batch a student step, numbers that the host reads in every step. Three steps are left out, because
they change no number and only take time: a sort of the images, a feature term of weight 0, a second measure of the
student's loss.

Where the authors' code and our config differ in a way that changes numbers, the loop follows the config. So equal seeds
give the engine's student up to rounding:

| quantity | as in our config |
|---|---|
| learning rates, lambda | they change with every step, over the whole run |
| generator's learning rate | it changes with every step if the config schedules it |
| ramp of the adversarial weight | it runs with any curriculum, and at once in a run too short for it |
| objective | the mean of v l |

One random generator on the device draws all latents, in the order in which they are used.
"""

from math import cos, exp, pi
from statistics import fmean
from time import perf_counter
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div, log_softmax, softmax

from cudfkd import models
from cudfkd.base.errors import ConfigError
from cudfkd.config import DistillConfig
from cudfkd.curriculum import Curriculum
from cudfkd.models.generator import UpConv2d


class Epoch(NamedTuple):
    """Seconds of an epoch, and means over its steps.

    synthesis: the loss of the generator's steps.
    objective: the loss of the student's steps.
    agreement: the share of images on which student and teacher agree.
    """

    seconds: float
    synthesis: float
    objective: float
    agreement: float


def distill(teacher: nn.Module, student: nn.Module, config: DistillConfig, *, frozen: bool = False) -> list[Epoch]:
    """Trains the student in place, on images of the config's image_size and channels. The teacher is left in eval mode.

    Arguments:
        frozen: compute no gradients of teacher and student in the generator's step, unlike the public code.

    Raises:
        ConfigError: the config asks for more than this loop can do.
    """
    refuse_unknown(config)
    c, o, device = config, config.options, torch.device(config.device)
    generator = new_generator(c).to(device)
    teacher.to(device, memory_format=torch.contiguous_format).eval().requires_grad_(not frozen)
    student.to(device, memory_format=torch.contiguous_format)
    hooks = [BatchNormHook(m) for m in teacher.modules() if isinstance(m, nn.BatchNorm2d)]
    adam = torch.optim.Adam(generator.parameters(), o.generator_lr, betas=(0.9, 0.99))
    sgd = torch.optim.SGD(student.parameters(), c.lr, c.momentum, weight_decay=c.weight_decay)
    rng = torch.Generator(device).manual_seed(c.seed)
    mean, std = (torch.tensor(v, device=device).view(-1, 1, 1) for v in (c.mean or (0.0,), c.std or (1.0,)))

    def images() -> Tensor:
        return (generator(torch.randn(c.batch_size, o.latent_dim, generator=rng, device=device)) - mean) / std

    begin, finish = int(c.epochs * o.adv_begin), int(c.epochs * o.adv_finish)
    adversary, step, epochs = o.adv_start, 0, []
    for epoch in range(c.epochs):
        if epoch >= finish <= begin + 1:
            adversary = o.adv_end
        started, synthesis, objective, agreement = perf_counter(), [], [], []
        for _ in range(c.steps_per_epoch // c.round_steps):
            student.eval().requires_grad_(not frozen)
            settle(adam, o.generator_lr, step / c.total_steps if o.generator_schedule == "cosine" else 0.0)
            for _ in range(o.generator_steps):
                generator.train()
                adam.zero_grad()
                x = images()
                t = teacher(x)
                loss = o.bn * sum(hook.distance for hook in hooks) + certainty(c, t)
                if adversary > 0:
                    loss = loss + adversary * disagreement(t, student(x), o.adv_temperature)
                synthesis.append(loss.item())
                loss.backward()
                adam.step()
            student.train().requires_grad_(True)
            for _ in range(c.round_steps):
                settle(sgd, c.lr, step / c.total_steps)
                generator.eval()
                with torch.no_grad():
                    x = images()
                    t = teacher(x)
                s = student(x)
                loss = weighed(c.curriculum, divergence(o.loss, t, s, o.temperature), step / c.total_steps)
                sgd.zero_grad()
                loss.backward()
                sgd.step()
                objective.append(loss.item())
                agreement.append((s.argmax(1) == t.argmax(1)).float().mean().item())
                step += 1
        epochs.append(Epoch(perf_counter() - started, *map(fmean, (synthesis, objective, agreement))))
        if begin < epoch < finish:
            adversary += (o.adv_end - o.adv_start) / (finish - begin - 1)
    for hook in hooks:
        hook.handle.remove()
    return epochs


class BatchNormHook:
    """The distance of a layer's inputs from the statistics that it stored: ||var - stored|| + ||mean - stored||."""

    def __init__(self, layer: nn.BatchNorm2d) -> None:
        self.handle = layer.register_forward_hook(self.measure)

    def measure(self, layer: nn.BatchNorm2d, inputs: tuple[Tensor, ...], _: Tensor) -> None:
        rows = inputs[0].transpose(0, 1).flatten(1)
        spread = (rows.var(1, correction=0) - layer.running_var).norm()
        self.distance = spread + (rows.mean(1) - layer.running_mean).norm()


def certainty(c: DistillConfig, t: Tensor) -> Tensor:
    """The generator's loss that needs the teacher alone: one_hot * CE(t, argmax t) - class_entropy * H(mean p_t)."""
    p = softmax(t / c.options.temperature, 1).mean(0)
    return c.options.one_hot * cross_entropy(t, t.argmax(1)) + c.options.class_entropy * (p * p.log()).sum()


def disagreement(t: Tensor, s: Tensor, temperature: float) -> Tensor:
    """Minus the mean of 1[argmax t = argmax s] T^2 KL(p_t || p_s)."""
    return -(divergence("kl", t, s, temperature) * (t.argmax(1) == s.argmax(1))).mean()


def divergence(loss: str, t: Tensor, s: Tensor, temperature: float) -> Tensor:
    """The divergence kl or l1 of each sample."""
    if loss == "l1":
        return (t - s).abs().mean(1)
    p, log_q = softmax(t / temperature, 1), log_softmax(s / temperature, 1)
    return temperature**2 * kl_div(log_q, p, reduction="none").sum(1)


def weighed(curriculum: Curriculum, losses: Tensor, progress: float) -> Tensor:
    """Mean of v l with the log weight v = (1 + e^-lambda) / (1 + e^(l - lambda)), of each loss or of their mean."""
    lam = curriculum.lam_start + (curriculum.lam_end - curriculum.lam_start) * progress
    judged = losses.detach() if curriculum.granularity == "sample" else losses.detach().mean()
    v = 1.0 if curriculum.granularity == "none" else (1 + exp(-lam)) / (1 + (judged - lam).exp())
    return (v * losses).mean()


def settle(optimizer: torch.optim.Optimizer, lr: float, progress: float) -> None:
    """Sets the learning rate, along half a cosine from lr to 0."""
    optimizer.param_groups[0]["lr"] = lr * (1 + cos(pi * progress)) / 2


def new_generator(c: DistillConfig) -> nn.Sequential:
    """The published generator with the engine's initial weights.

    They are drawn from the global random generator, seeded with the run's seed.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(c.seed)
        ours = models.Generator(c.options.latent_dim, c.channels, c.image_size, c.options.generator_width)
    layers: list[nn.Module] = []
    for layer in ours.layers:
        if isinstance(layer, UpConv2d):
            convolution = nn.Conv2d(layer.in_channels, layer.out_channels, 3, padding=1, bias=False)
            convolution.weight = layer.weight
            layers += [nn.Upsample(scale_factor=2), convolution]
        else:
            layers.append(layer)
    return nn.Sequential(*layers)


def refuse_unknown(c: DistillConfig) -> None:
    """Raises ConfigError for a config that this loop cannot run."""
    kind = (c.method, c.precision, c.curriculum.pace, c.curriculum.regularizer, c.generator_ratio)
    if kind != ("cudfkd", "float32", "schedule", "log", None) or c.options.store != "fresh":
        raise ConfigError("the reference loop is cudfkd in float32 with log weights on a schedule and fresh batches")
    if c.options.loss not in ("kl", "l1") or None in (c.image_size, c.channels):
        raise ConfigError("the reference loop takes the losses kl and l1, and needs image_size and channels")
