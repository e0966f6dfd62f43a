"""CMI (Fang et al., "Contrastive Model Inversion for Data-Free Knowledge Distillation", 2021).

Each round optimises a new generator together with new latents, until they make one good batch. All batches go into a
pool, on which the student learns:

    L(G, z) = bn * BN(x) + one_hot * CE(t, y) + adversarial * (-mean 1[agree] KL(p_t || p_s)) + contrast * C(x)
    C(x)    = mean over the batch + mean over the bank of InfoNCE(h(local crop), h(global crop))
    L_S     = mean_i T^2 KL(p_t || p_s)

The contrastive term C makes the images differ from each other. Each image gives two crops, and the head h embeds the
teacher's features of each crop. The two embeddings of an image must be closer to each other than to the embeddings of
all other images, in the batch and in a bank of earlier images.

    features      mean over the pixels of each channel that enters a BatchNorm layer of the teacher
    global crop   the image, shifted by up to crop_padding pixels and mirrored at random
    local crop    a random square with a share of local_crop to 1 of the image's area, mirrored at random
    anchors       the local crops only
    head          learns together with the generators, and is kept from round to round

Published: 200 inner steps for 400 student steps, batches of 256 images, latents of length 256, a bank of 40,960 images.
A step draws 4,096 images of the bank.

Where we differ from the public code:

    | theirs                                              | ours                                             |
    |-----------------------------------------------------|--------------------------------------------------|
    | bank of 40,960 images, 4,096 drawn for a step       | defaults 4,096 and 256, for the small networks   |
    | local crops change the ratio of sides (3/4 to 4/3)  | local crops are square                           |
    | ResNet-34: the stages give the features             | all layers with BatchNorm do, in every network   |
    | bn, one_hot and adversarial look at the global crop | bn, one_hot and adversarial look at the image    |
    | positives are constants                             | positives learn too                              |
    | denominator of InfoNCE: only the positives          | denominator: the positives and the other anchors |
    | head without BatchNorm                              | head with BatchNorm                              |
    | Adam of the head: betas (0.9, 0.999)                | Adam of the head: betas (0.5, 0.999)             |
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
from cudfkd.models.batch_norm_statistics import is_batch_norm
from cudfkd.models.watch import Watch
from cudfkd.runs.context import Context

ABOUT = About("Fang et al., 2021", "BatchNorm in the teacher, unless bn = 0 and contrast = 0")
RATIO = 0.5  # inner steps for each student step: 200 for 400


class Options(ImageOptions):
    """Settings of CMI. The published values are in parentheses."""

    latent_dim: Count = 64
    """length of the generator's latent vectors (256)"""
    generator_width: Count = 8
    """channels before the generator's last convolution (64)"""
    generator_lr: Positive = 1e-2
    """learning rate of the generator, the latents and the head (1e-3)"""
    bn: Weight = 1.0
    """weight of matching the teacher's BatchNorm statistics; 0 for a teacher without BatchNorm"""
    one_hot: Weight = 0.5
    """weight of the cross-entropy of the teacher with the class that was drawn for the image"""
    adversarial: Weight = 0.5
    """weight of the divergence of student and teacher"""
    contrast: Weight = 0.8
    """weight of the contrastive term, which makes images differ; 0 switches the head and the bank off"""
    contrast_temperature: Positive = 0.1
    """temperature of the contrastive term"""
    head_width: Count = 64
    """length of the head's embeddings (256)"""
    bank_size: Count = 4096
    """number of earlier images in the bank, which keeps their features (40,960)"""
    bank_draw: Whole = 256
    """images of the bank that are drawn for a step (4,096); 0: the contrastive term uses the batch only"""
    crop_padding: Whole = 4
    """largest shift of a global crop in pixels"""
    local_crop: Fraction = 0.25
    """smallest area of a local crop, as a share of the image"""
    temperature: Positive = 20.0
    """temperature of the divergence in the student's loss"""


class Head(nn.Module):
    """Embeds the teacher's features of a crop: two linear layers with BatchNorm and ReLU between them."""

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
    """The contrastive term, with its head and its bank of earlier features (local and global features side by side)."""

    options: Options
    watch: Watch
    head: Head
    bank: Memory
    optimizer: torch.optim.Optimizer

    def features(self, ctx: Context, images: Images) -> Float[Tensor, "batch both"]:
        """The teacher's features of the local crop and of the global crop of each image, side by side."""
        # The local crops are drawn before the global crops: this order decides the random numbers.
        o = self.options
        crops = (resized_crop(ctx, images, o.local_crop), shift_and_mirror(ctx, images, o.crop_padding))
        columns = []
        for crop in crops:
            with self.watch.recording() as seen:
                ctx.teacher_logits(crop)
            columns.append(channel_means(seen))
        return torch.cat(columns, 1)

    def loss(self, ctx: Context, features: Float[Tensor, "batch both"]) -> Float[Tensor, ""]:
        """C: mean over the batch plus mean over the images drawn from the bank, each image against all the images."""
        n, drawn = len(features), min(self.options.bank_draw, len(self.bank))
        if drawn:
            features = torch.cat([features, self.bank.draw(ctx, drawn)])
        local, overall = features.chunk(2, dim=1)
        self.head.train()
        embedded = self.head(torch.cat([local, overall]))
        each = info_nce(embedded[: len(local)], embedded[len(local) :], self.options.contrast_temperature)
        return each[:n].mean() + each[n:].mean() if drawn else each.mean()

    def remember(self, ctx: Context, images: Images) -> None:
        """Puts the features of a finished batch into the bank."""
        with torch.no_grad():
            self.bank.add(self.features(ctx, images))


@dataclass
class Synthesizer:
    """Optimises a new generator and its latents, for one batch a round."""

    options: Options
    eye: TeacherEye
    generator: Generator
    contrast: Contrast | None
    best: Best = field(default_factory=Best)

    def round(self, ctx: Context) -> int:
        # The run's generator of random numbers gives the classes first, then the latents.
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
        """The terms of L for a batch, by name."""
        o = self.options
        t, bn_term = self.eye.look(ctx, images)
        terms = class_term(o.one_hot, t, classes) | bn_term
        if o.adversarial > 0:
            terms["adversarial_term"] = o.adversarial * losses.adversarial(t, ctx.student_logits(images), 1.0)
        if self.contrast:
            terms["contrast_term"] = o.contrast * self.contrast.loss(ctx, self.contrast.features(ctx, images))
        return terms


def build(options: Options, ctx: Context) -> Method:
    """Builds CMI for one run.

    Raises:
        ConfigError: bn or contrast is not 0 and the teacher has no BatchNorm layer; crop_padding is as large as the
            image.
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
    names = [name for name, layer in ctx.teacher.named_modules() if is_batch_norm(layer)]
    if not names:
        raise ConfigError(
            "the teacher has no BatchNorm layer, whose inputs the contrastive term compares: set contrast=0"
        )
    watch = Watch(ctx.teacher, names, inputs=True)
    features = channel_means(watch.try_on(ctx.probe())).shape[1]
    head = Head(features, options.head_width).to(ctx.device)
    bank = Memory(options.bank_size, (2 * features,), torch.get_default_dtype(), ctx.device)
    return Contrast(options, watch, head, bank, adam(head.parameters(), options.generator_lr, betas=(0.5, 0.999)))
