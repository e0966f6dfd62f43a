"""CMI (Fang et al., "Contrastive Model Inversion for Data-Free Knowledge Distillation", 2021).

Each round a new generator and new latents are optimised together until their one batch is good; all batches go into a
pool on which the student learns. Diversity comes from a contrastive term: by what the teacher's layers see of two crops
of each image, embedded by a head, an image must be told from all others of the batch and of a bank of earlier ones:

    L(G, z) = bn * BN(x) + one_hot * CE(t, y) + adversarial * (-mean 1[agree] KL(p_t || p_s)) + contrast * C(x)
    C(x)    = mean over the batch + mean over the bank of InfoNCE(h(local crop), h(global crop))
    L_S     = mean_i T^2 KL(p_t || p_s)

What a layer sees is the mean over pixels of each channel that goes into a BatchNorm layer. The global crop shifts by up
to crop_padding pixels, the local one is a part of area local_crop to 1; both mirror. The head learns along and is kept.
Published: 200 steps for 400 student steps, batches of 256, latents of 256, a bank of 40,960 of which 4,096 are drawn.

Where we differ from the public code: a smaller bank by default, for the small networks; square crops; anchors are the
local crops only; the features are those of all layers with BatchNorm, for every network (theirs: of the stages, for
ResNet-34). Its terms bn, one_hot and adversarial look at the global crop, ours at the image; its positives are
constants and alone in the denominator, ours learn too and share it with the other anchors; its head has no BatchNorm
and an Adam with betas (0.9, 0.999), ours (0.5, 0.999).
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cudfkd import losses
from cudfkd.base.errors import ConfigError
from cudfkd.methods.parts.augment import require_padding, resized_crop, shift_and_mirror
from cudfkd.methods.parts.contract import About, Method
from cudfkd.methods.parts.generator import Images, TeacherEye, adam, imagine, new_generator
from cudfkd.methods.parts.images import Best, class_term, image_method, random_classes, steps_of
from cudfkd.methods.parts.memory import Memory
from cudfkd.methods.parts.options import Count, Fraction, ImageOptions, Positive, Weight, Whole
from cudfkd.methods.parts.terms import channel_means, info_nce
from cudfkd.models import Generator
from cudfkd.models.watch import Watch, names_of
from cudfkd.runs.context import Context

ABOUT = About("Fang et al., 2021", "BatchNorm2d in the teacher, unless bn = 0 and contrast = 0")
RATIO = 0.5  # inner steps a student step: 200 for 400


class Options(ImageOptions):
    """CMI's own settings."""

    latent_dim: Count = 64
    """length of the generator's latent vectors (256)"""
    generator_width: Count = 8
    """channels before the generator's last convolution (64)"""
    generator_lr: Positive = 1e-2
    """learning rate of generator, latents and head (1e-3)"""
    bn: Weight = 1.0
    """weight of matching the teacher's BatchNorm statistics; 0 for a teacher without BatchNorm"""
    one_hot: Weight = 0.5
    """weight of the class that was drawn for the image"""
    adversarial: Weight = 0.5
    """weight of the divergence of student and teacher"""
    contrast: Weight = 0.8
    """weight of telling images apart; 0 switches head and bank off"""
    contrast_temperature: Positive = 0.1
    """temperature of the contrastive term"""
    head_width: Count = 64
    """length of an embedding (256)"""
    bank_size: Count = 4096
    """earlier images whose features are kept (40,960)"""
    bank_draw: Whole = 256
    """of which so many are drawn for a step (4,096); 0: the batch alone"""
    crop_padding: Whole = 4
    """pixels by which a global crop shifts"""
    local_crop: Fraction = 0.25
    """smallest area of a local crop, as a share of the image"""
    temperature: Positive = 20.0
    """softens the student's divergence"""


class Head(nn.Module):
    """Embeds what the teacher saw of a crop: two linear layers with BatchNorm and ReLU between them."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        hidden = max(features, width)
        self.layers = nn.Sequential(
            nn.Linear(features, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, width)
        )

    def forward(self, x: Float[Tensor, "batch features"]) -> Float[Tensor, "batch width"]:
        return self.layers(x)


@dataclass
class Contrast:
    """The contrastive term, with its head and its bank of earlier features (local and global side by side)."""

    options: Options
    watch: Watch
    head: Head
    bank: Memory
    optimizer: torch.optim.Optimizer

    def features(self, ctx: Context, images: Images) -> Float[Tensor, "batch both"]:
        """What the teacher's layers see of the local and of the global crop of each image."""
        o = self.options
        crops = (resized_crop(ctx, images, o.local_crop), shift_and_mirror(ctx, images, o.crop_padding))
        found = []
        for crop in crops:
            with self.watch.recording() as seen:
                ctx.teacher_logits(crop)
            found.append(channel_means(seen))
        return torch.cat(found, 1)

    def loss(self, ctx: Context, features: Float[Tensor, "batch both"]) -> Float[Tensor, ""]:
        """C: the batch's own mean, and that of what was drawn from the bank, among all of both."""
        n, drawn = len(features), min(self.options.bank_draw, len(self.bank))
        if drawn:
            features = torch.cat([features, self.bank.draw(ctx, drawn)])
        local, whole = features.chunk(2, dim=1)
        self.head.train()
        embedded = self.head(torch.cat([local, whole]))
        each = info_nce(embedded[: len(local)], embedded[len(local) :], self.options.contrast_temperature)
        return each[:n].mean() + each[n:].mean() if drawn else each.mean()

    def remember(self, ctx: Context, images: Images) -> None:
        """Puts the features of a finished batch into the bank."""
        with torch.no_grad():
            self.bank.add(self.features(ctx, images))


@dataclass
class Synthesizer:
    """Optimises a new generator and its latents for one batch a round."""

    options: Options
    eye: TeacherEye
    generator: Generator
    contrast: Contrast | None
    best: Best = field(default_factory=Best)

    def round(self, ctx: Context) -> int:
        o, steps = self.options, steps_of(self.options, ctx, RATIO)
        classes = random_classes(ctx, o.synthesis_batch)
        z = ctx.noise(len(classes), o.latent_dim).requires_grad_()
        self.generator.reset()
        self.generator.train()
        optimizers = [adam([*self.generator.parameters(), z], o.generator_lr, betas=(0.5, 0.999))]
        optimizers += [self.contrast.optimizer] if self.contrast else []
        self.best.restart()
        for _ in range(steps):
            images = imagine(ctx, self.generator, z)
            terms = self.terms(ctx, images, classes)
            self.best.offer(images, torch.stack(list(terms.values())).sum())
            ctx.step_down(optimizers, terms)
        if self.contrast:
            self.contrast.remember(ctx, self.best.images)
        return steps

    def terms(self, ctx: Context, images: Images, classes: Tensor) -> dict[str, Tensor]:
        """L of a batch, by term."""
        o = self.options
        t, bn_term = self.eye.look(ctx, images)
        terms = class_term(o.one_hot, t, classes) | bn_term
        if o.adversarial > 0:
            terms["adversarial_term"] = o.adversarial * losses.adversarial(t, ctx.student_logits(images), 1.0)
        if self.contrast:
            terms["contrast_term"] = o.contrast * self.contrast.loss(ctx, self.contrast.features(ctx, images))
        return terms


def build(options: Options, ctx: Context) -> Method:
    """CMI for one run.

    Raises:
        ConfigError: bn or contrast is on and the teacher has no BatchNorm2d; a crop larger than the image.
    """
    generator = new_generator(ctx, options.latent_dim, options.generator_width)
    contrast = _contrast(options, ctx) if options.contrast > 0 else None
    synthesizer = Synthesizer(options, TeacherEye.of(ctx, options.bn), generator, contrast)
    modules: dict[str, nn.Module] = {"generator": generator}
    if contrast is None:
        return image_method(options, ctx, synthesizer, synthesizer.best, options.temperature, modules)
    return image_method(
        options, ctx, synthesizer, synthesizer.best, options.temperature, modules | {"head": contrast.head},
        {"bank": contrast.bank}, {"head": contrast.optimizer},
    )  # fmt: skip


def _contrast(options: Options, ctx: Context) -> Contrast:
    require_padding(ctx, options.crop_padding)
    names = names_of(ctx.teacher, nn.BatchNorm2d)
    if not names:
        raise ConfigError(
            "the teacher has no BatchNorm2d layer, whose inputs the contrastive term compares: set contrast=0"
        )
    watch = Watch(ctx.teacher, names, inputs=True)
    features = channel_means(watch.try_on(ctx.probe())).shape[1]
    head = Head(features, options.head_width).to(ctx.device)
    bank = Memory(options.bank_size, (2 * features,), torch.get_default_dtype(), ctx.device)
    return Contrast(options, watch, head, bank, adam(head.parameters(), options.generator_lr, betas=(0.5, 0.999)))
