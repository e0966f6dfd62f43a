"""Every method at a small size, so that a run is short, and a context for tests of single parts."""

import torch
from torch import nn

import cudfkd
from cudfkd import DistillConfig, methods
from cudfkd.boundary.images import read
from cudfkd.engine.run import Run
from cudfkd.methods.parts.contract import Method
from cudfkd.models.normalize import Normalize
from cudfkd.runs.context import Context, Shape
from cudfkd.runs.student_batch import TrainingImages
from tests.cudfkd.engine.test_loop import held_out, networks

SIZES = {
    "latent_dim": 8, "generator_width": 2, "synthesis_batch": 8, "inner_steps": 2, "warmup": 1, "bank_size": 12,
    "bank_draw": 6, "head_width": 6, "memory_size": 20,
}  # fmt: skip
DATA_FREE = [name for name in methods.names() if not methods.get(name).ABOUT.real_images]


def config(method: str, **changes) -> DistillConfig:
    """Two epochs of four steps at batch 8 on grey images of 16 pixels."""
    fields = methods.get(method).Options.model_fields
    options = {name: value for name, value in SIZES.items() if name in fields} | changes.pop("options", {})
    base = {"epochs": 2, "steps_per_epoch": 4, "batch_size": 8, "image_size": 16, "channels": 1}
    base |= {"mean": (0.0,), "std": (1.0,)}  # said, because DAFL and others warn if it is not
    return DistillConfig(**base | {"method": method, "options": options} | changes)


def distill(c: DistillConfig, student: nn.Module | None = None, **arguments) -> Run:
    """A run between the networks of the engine's tests; references get the images there are."""
    teacher, fresh = networks()
    real = methods.get(c.method).ABOUT.real_images
    return cudfkd.distill(teacher, student or fresh, c, train_on=held_out() if real else None, **arguments)


def context(c: DistillConfig) -> Context:
    """The context that the engine gives a method between rounds: both networks frozen and in eval mode."""
    teacher, student = networks()
    for network in (teacher, student):
        network.eval().requires_grad_(False)
    rng = torch.Generator().manual_seed(c.seed)
    device = torch.device("cpu")
    ctx = Context(c, Shape(1, 16, 10), device, teacher, student, Normalize(c.mean, c.std), rng, c.curriculum.lam_start)
    ctx.training = TrainingImages.of(read(held_out()), device)
    return ctx


def build(ctx: Context) -> Method:
    """The method of the context's config."""
    return methods.get(ctx.config.method).build(ctx.config.options, ctx)


def images(n: int = 8, size: int = 16, seed: int = 5) -> torch.Tensor:
    """Random images."""
    return torch.rand(n, 1, size, size, generator=torch.Generator().manual_seed(seed))
