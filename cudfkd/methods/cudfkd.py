"""CuDFKD (Li et al., "Dynamic Data-Free Knowledge Distillation by Easy-to-Hard Learning Strategy", 2023).

A generator makes batches for the student. The terms of its loss ask for four properties:

    one_hot         the teacher is certain of each image
    class_entropy   the batch spreads over all classes
    bn              the batch looks like training data to the teacher's BatchNorm layers
    adversarial     the student errs on the images; the weight a of this term rises over the run

The student follows the teacher's logits on fresh samples. The curriculum weights the samples from easy to hard. The
numbers are those of the equations on the site's start page; the samples' losses l_i are (2), the weights (3), the pace
(5) and the adversarial weight a (6):

    loss_G = one_hot * CE(t, argmax t) + class_entropy * (-H(mean p_t)) + bn * BN(x)
             + a(epoch) * (-mean 1[agree] T^2 KL(p_t || p_s))                             (1)
    loss_S = mean_i v*(l_i; lambda) l_i                                                   (4)

The authors' public repository is the source of the details. Our learning rates and lambda follow the run's length.
Where we differ from the public code:

    | authors' code                                      | ours                       | why                    |
    |----------------------------------------------------|----------------------------|------------------------|
    | one weight for each batch                          | a weight for each sample   | the paper has it so    |
    | no adversarial ramp without a curriculum           | a ramp in every run        | one ramp for all       |
    | lambda grows by 1e-4 a step (CIFAR-100: 2e-5)      | it is lam_end at the end   | runs of any length     |
    | the generator's rate is constant, 1e-3             | it falls from 0.05 to 0    | both networks settle   |
    | the student's rate falls once an epoch             | it falls at each step      | one schedule for all   |
    | 10 student steps a round                           | 2                          | shorter runs           |
    | class entropy of softmax(t / 20) (CIFAR-100: 5)    | of softmax(t)              | the dev images decided |
    | batch 512 to 1,024, 250 to 400 epochs of 400 steps | the run's batch and length | one length for all     |
    | latents of 512, width 64                           | latents of 64, width 8     | small networks         |

The weight for each batch is granularity "batch". It is theirs for the losses l1 and kl.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import model_validator
from torch import Tensor, nn

from cudfkd import losses
from cudfkd.base.errors import ConfigError
from cudfkd.curriculum import ramp
from cudfkd.methods.parts.contract import About, Method
from cudfkd.methods.parts.generator import Divergence, Images, Logits, TeacherEye, generator_method
from cudfkd.methods.parts.options import Count, Fraction, GeneratorOptions, Loss, Positive, Schedule, Weight
from cudfkd.runs.context import Context

ABOUT = About(
    "Li et al., 2023", "BatchNorm in the teacher, unless bn = 0", round_steps=2, granularity="sample", ranks=True
)


class Options(GeneratorOptions):
    """Settings of CuDFKD.

    The defaults were chosen on the dev images, for the small networks that ship with the package. Values in parentheses
    are from the authors' scripts for 32 x 32 images.
    """

    later: ClassVar = {"adv_follows": "epoch"}

    loss: Loss = "l1"
    """loss that the student descends: kl, l1, l2 or js"""
    temperature: Positive = 1.0
    """temperature of the losses kl and js, and of the prediction in class_entropy (20; CIFAR-100: 5)"""
    latent_dim: Count = 64
    """length of the generator's latent vectors (512)"""
    generator_width: Count = 8
    """channels before the generator's last convolution (64)"""
    generator_lr: Positive = 0.05
    """learning rate of the generator's Adam (1e-3)"""
    generator_schedule: Schedule = "cosine"
    """cosine: generator_lr falls along half a cosine to 0 over the run, with the student's rate, so that both networks
    settle; constant: generator_lr stays the same"""
    class_entropy: Weight = 5.0
    """weight of the class entropy, which makes all classes equally frequent in a batch (20)"""
    one_hot: Weight = 2.0
    """weight of the teacher's certainty (1)"""
    bn: Weight = 3.0
    """weight of matching the teacher's BatchNorm statistics (1); 0 for a teacher without BatchNorm"""
    adv_start: Weight = 1.0
    """adversarial weight before its ramp (0 or 0.5)"""
    adv_end: Weight = 10.0
    """adversarial weight after its ramp (6.7 to 84)"""
    adv_begin: Fraction = 0.0
    """where the ramp begins, as a fraction of the run (0.25; CIFAR-100: 0.2)"""
    adv_finish: Fraction = 0.5
    """where the ramp ends, as a fraction of the run (0.75; CIFAR-100: 0.8)"""
    adv_follows: Literal["epoch", "agreement"] = "epoch"
    """what the adversarial weight rises with, from adv_start to adv_end. epoch: with the epochs of the ramp; agreement:
    with the share of the generator's images for which student and teacher name the same class"""
    adv_temperature: Positive = 3.0
    """temperature of the adversarial KL"""

    @model_validator(mode="after")
    def _ramp_in_order(self) -> "Options":
        if self.adv_begin > self.adv_finish:
            allowed = f"it must not come after adv_finish = {self.adv_finish!r}"
            raise ConfigError(f"adv_begin = {self.adv_begin!r} is not allowed: {allowed}")
        return self


class Agreement(nn.Module):
    """A moving average of the agreement of student and teacher, from 0 (chance) to 1 (always).

    After n batches of the generator, with agreements A_1 ... A_n, C classes and m = MEMORY:

        A = sum_k m^(n-k) A_k / sum_k m^(n-k),    level = max(0, (A - 1/C) / (1 - 1/C))
    """

    MEMORY = 0.99

    share: Tensor
    batches: Tensor

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.register_buffer("share", torch.zeros((), device=device))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64, device=device))

    def after(self, t: Logits, s: Logits) -> Float[Tensor, ""]:
        """Takes the logits of a batch into the average; returns the level, without gradient."""
        agreement = (t.argmax(1) == s.argmax(1)).to(self.share.dtype).mean()
        self.batches += 1
        rate = (1 - self.MEMORY) / (1 - self.MEMORY**self.batches)
        self.share.lerp_(agreement, rate)
        chance = 1 / t.shape[1]
        return ((self.share - chance) / (1 - chance)).clamp(min=0)


@dataclass
class Terms:
    """The terms of loss_G, equation (1), for a batch of the generator."""

    options: Options
    eye: TeacherEye
    agreement: Agreement | None
    """None where the adversarial weight rises with the epochs"""

    def __call__(self, ctx: Context, images: Images) -> dict[str, Tensor]:
        o = self.options
        t, bn_term = self.eye.look(ctx, images)
        entropy = losses.class_entropy(ctx.ranks.gather(t), o.temperature)
        terms = {"class_entropy_term": -o.class_entropy * entropy, "one_hot_term": o.one_hot * losses.one_hot(t)}
        terms |= bn_term
        adversarial_weight = ramp(ctx.epoch, ctx.config.epochs, o.adv_start, o.adv_end, o.adv_begin, o.adv_finish)
        if self.agreement or adversarial_weight > 0:
            s = ctx.student_logits(images)
            if self.agreement:
                level = self.agreement.after(ctx.ranks.gather(t.detach()), ctx.ranks.gather(s.detach()))
                adversarial_weight = o.adv_start + (o.adv_end - o.adv_start) * level
            terms["adversarial_term"] = adversarial_weight * losses.adversarial(t, s, o.adv_temperature)
        ctx.note("class_entropy", entropy)
        ctx.note("adversarial_weight", adversarial_weight)
        return terms


def build(options: Options, ctx: Context) -> Method:
    """Builds CuDFKD for one run. Raises ConfigError when bn > 0 and the teacher has no BatchNorm layer."""
    agreement = Agreement(ctx.device) if options.adv_follows == "agreement" else None
    terms = Terms(options, TeacherEye.of(ctx, options.bn), agreement)
    objective = Divergence(options.loss, options.temperature)
    method = generator_method(options, ctx, terms, objective, betas=(0.9, 0.99))
    return replace(method, memory=method.memory | {"agreement": agreement}) if agreement else method
