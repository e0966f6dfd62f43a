"""CMI (Fang et al., "Contrastive Model Inversion for Data-Free Knowledge Distillation", 2021).

Each round optimises a new generator together with new latents, until they make one good batch. All batches go into a
pool, on which the student learns:

    loss(G, z)     = bn * BN(x) + one_hot * CE(t, y) + adversarial * (-mean 1[agree] KL(p_t || p_s))
                     + contrast * contrastive(x)
    contrastive(x) = mean over the batch + mean over the bank of InfoNCE(head(local crop), head(global crop))
    loss_S         = mean_i T^2 KL(p_t || p_s)

The contrastive term makes the images differ from each other. Each image gives two crops, and the head embeds the
teacher's features of each crop. The two embeddings of an image must be closer to each other than to the embeddings of
all other images, in the batch and in a bank of earlier images.

    features      mean over the pixels of each channel that enters a BatchNorm layer of the teacher
    global crop   the image, shifted by up to crop_padding pixels and mirrored at random
    local crop    a random box with a share of local_crop to 1 of the image's area, mirrored at random
    anchors       the local crops; the global crops stand still, as the vectors to which each anchor is compared
    head          learns together with the generators, and is kept from round to round

BN(x), t and the student's logits are of the global crops. The images with the lowest loss of the round go into the
pool, and their features go into the bank.

Published: 200 inner steps for 400 student steps, or for 2,000 student steps if the pool begins with given images. The
batches have 256 images. The bank has 40,960 images; a step draws 4,096 from it.

Where we differ from the authors' code:

    | authors' code                                    | ours                              | why                       |
    |--------------------------------------------------|-----------------------------------|---------------------------|
    | bank of 40,960 images, 4,096 drawn               | 4,096 and 256                     | small networks            |
    | latents of 256, width 64, head of 256            | 64, 8 and 64                      | small networks            |
    | the generator's first map has 2 x width channels | 4 x width                         | one generator for all     |
    | generator, latents and head learn at rate 1e-3   | 1e-2                              | shorter runs              |
    | 200 inner steps a round                          | half the student steps of a round | the published ratio       |
    | 200 rounds of 400 student steps                  | one round an epoch                | one length for all        |
    | the student's rate falls once an epoch           | it falls at each step             | one schedule for all      |
    | a box that fills the image is drawn again        | a side that is too long is cut    | no search on a GPU        |
    | local crops have whole pixels                    | a box may begin between pixels    | no search on a GPU        |
    | a just filled bank gives no image for a round    | it gives images                   | a slip of the code        |
    | a round keeps the generator's averages           | it starts them again              | no image depends on them  |
    | ResNet-34: the stages give the features          | all layers with BatchNorm do      | one rule for all networks |
    | the pool is shuffled and passed through          | random draws, with replacement    | exact resume              |
    | the pool's images are cut off to bytes           | they are rounded                  | half the error            |
    | the pool's images are shifted by up to 4 pixels  | up to an eighth, at most 4        | small images              |
    | the pool may begin with given images             | it begins empty                   | no images ship            |
"""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

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
    one_hot: Weight = 1.0
    """weight of the cross-entropy of the teacher with the class that was drawn for the image (0.5 if the pool begins
    with given images, else 1)"""
    adversarial: Weight = 0.5
    """weight of the divergence of student and teacher"""
    contrast: Weight = 0.8
    """weight of the contrastive term, which makes images differ; 0 switches the head and the bank off"""
    contrast_temperature: Positive = 0.1
    """temperature of the contrastive term (0.1 or 0.2)"""
    head_width: Count = 64
    """length of the head's embeddings (256)"""
    bank_size: Count = 4096
    """number of earlier images in the bank, which keeps their features (40,960)"""
    bank_draw: Whole = 256
    """images of the bank that are drawn for a step (4,096); 0: the contrastive term uses the batch only"""
    crop_padding: Whole = 4
    """largest shift in pixels of the views that the networks get in the inner steps; they are mirrored at random"""
    local_crop: Fraction = 0.25
    """smallest area of a local crop, as a share of the image"""
    temperature: Positive = 20.0
    """temperature of the divergence in the student's loss"""


class Head(nn.Module):
    """Embeds the teacher's features of a crop as unit vectors: two linear layers with ReLU between them."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(features, features), nn.ReLU(), nn.Linear(features, width))

    def forward(self, x: Float[Tensor, "batch features"]) -> Float[Tensor, "batch width"]:
        return normalize(self.layers(x), dim=1)


@dataclass
class Contrast:
    """The contrastive term, with its head and its bank of earlier features (local and global features side by side)."""

    options: Options
    watch: Watch
    head: Head
    bank: Memory
    optimizer: torch.optim.Optimizer

    def features(self, ctx: Context, images: Images, seen: Mapping[str, Tensor]) -> Float[Tensor, "batch both"]:
        """The teacher's features of the local crop and of the global crop of each image, side by side.

        Arguments:
            ctx: the run.
            images: the batch; the local crops are drawn from it.
            seen: records of the teacher's pass of the global crops.
        """
        with self.watch.recording() as seen_locally:
            ctx.teacher_logits(resized_crop(ctx, images, self.options.local_crop))
        return torch.cat([channel_means(seen_locally), channel_means(seen)], 1)

    def loss(self, ctx: Context, features: Float[Tensor, "batch both"]) -> Float[Tensor, ""]:
        """The contrastive term: mean over the batch plus mean over images from the bank, each against all images."""
        n, drawn = len(features), min(self.options.bank_draw, len(self.bank))
        if drawn:
            features = torch.cat([features, self.bank.draw_distinct(ctx, drawn)])
        anchors, positives = self.head(torch.cat(features.chunk(2, dim=1))).chunk(2)
        each = info_nce(anchors, positives.detach(), self.options.contrast_temperature)
        return each[:n].mean() + each[n:].mean() if drawn else each.mean()


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
            terms, features = self.terms(ctx, images, classes)
            self.best.offer(images, torch.stack(list(terms.values())).sum(), features)
            ctx.step_down(optimizers, terms)
        if self.contrast and self.best.features is not None:
            self.contrast.bank.add(self.best.features)
        return steps

    def terms(self, ctx: Context, images: Images, classes: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
        """The terms of L for a batch, by name, and the teacher's features of the batch if the contrastive term is on.

        One pass of the teacher gives the logits, the statistics and the features of the global crops.
        """
        # The global crops are drawn first, then the local crops, then the bank: this order decides the random numbers.
        o, features = self.options, None
        crop = shift_and_mirror(ctx, images, o.crop_padding)
        with self.contrast.watch.recording() if self.contrast else nullcontext({}) as seen:
            t, bn_term = self.eye.look(ctx, crop)
        terms = class_term(o.one_hot, t, classes) | bn_term
        if o.adversarial > 0:
            terms["adversarial_term"] = o.adversarial * losses.adversarial(t, ctx.student_logits(crop), 1.0)
        if self.contrast:
            features = self.contrast.features(ctx, images, seen)
            terms["contrast_term"] = o.contrast * self.contrast.loss(ctx, features)
        return terms, features


def build(options: Options, ctx: Context) -> Method:
    """Builds CMI for one run.

    Raises:
        ConfigError: bn or contrast is not 0 and the teacher has no BatchNorm layer; crop_padding is as large as the
            image.
    """
    require_padding(ctx, options.crop_padding)
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
    names = [name for name, layer in ctx.teacher.named_modules() if is_batch_norm(layer)]
    if not names:
        raise ConfigError(
            "the teacher has no BatchNorm layer, whose inputs the contrastive term compares: set contrast=0"
        )
    watch = Watch(ctx.teacher, names, inputs=True)
    features = channel_means(watch.try_on(ctx.probe())).shape[1]
    head = Head(features, options.head_width).to(ctx.device)
    bank = Memory(options.bank_size, (2 * features,), torch.get_default_dtype(), ctx.device)
    return Contrast(options, watch, head, bank, adam(head.parameters(), options.generator_lr, betas=(0.9, 0.999)))
