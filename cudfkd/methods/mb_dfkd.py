"""MB-DFKD (Binici et al., "Preventing Catastrophic Forgetting and Distribution Mismatch in Knowledge Distillation via
Synthetic Data", 2022): a generator that looks for what the student does not know, and a memory bank of its images.

    loss_G = one_hot * CE(t, argmax t) + class_entropy * (-H(mean p_t)) + activation * (-mean |features|)
          - adversarial * mean JS_T(p_t, p_s) / classes
    loss_S = mean_ij |t_ij - s_ij|    (i: the sample, j: the class)

The student's batch holds fresh images and images from the bank; memory_share is the share of images from the bank. So
the student does not forget images that the generator no longer makes. JS_T is the quantity of
`cudfkd.methods.parts.terms.clamped_js`. Its mean over samples and classes counts from 0.

The authors' code is not public. The abstract says three things: a collection of generated samples is kept over time;
the generator targets the largest gain of information; and it is held to the distribution of the real data. The authors'
next method, PRE-DFKD, has public code with these aims. So its loss stands here. What is known, and what is a guess:

    | the method needs                             | source   | ours                                          |
    |----------------------------------------------|----------|-----------------------------------------------|
    | a collection of generated samples            | abstract | the newest memory_size images                 |
    | a disagreement of the networks in loss_G     | abstract | the disagreement in the code of PRE-DFKD      |
    | terms that match the real data               | abstract | the terms of DAFL, as in the code of PRE-DFKD |
    | weights, temperature, modes, student's loss  | guess    | as in the code of PRE-DFKD                    |
    | student steps for each step of the generator | guess    | 10, as in the code of PRE-DFKD                |
    | images that enter the bank                   | guess    | the fresh images of a round's first batch     |
    | the bank's share of a student batch          | guess    | a quarter, drawn uniformly with replacement   |
    | the end of the generator                     | guess    | tanh and BatchNorm, as in PRE-DFKD            |
"""

from dataclasses import dataclass

from torch import Tensor

from cudfkd.methods import dafl
from cudfkd.methods.parts.contract import About, Method
from cudfkd.methods.parts.generator import Divergence, Images, generator_method
from cudfkd.methods.parts.options import Count, Loss, Positive, Store, Weight
from cudfkd.methods.parts.terms import clamped_js
from cudfkd.runs.context import Context

ABOUT = About("Binici et al., 2022", dafl.ABOUT.needs, round_steps=10, ranks=True)


class AdversaryOptions(dafl.GeneratorLoss):
    """Settings of the losses that MB-DFKD and PRE-DFKD share."""

    class_entropy: Weight = 2.17
    """weight of the class entropy, which makes all classes equally frequent in a batch (5, with logarithms to base
    10)"""
    activation: Weight = 0.1
    """weight of a large feature in the teacher; 0 for a teacher without a linear layer"""
    loss: Loss = "l1"
    """loss that the student descends: kl, l1, l2 or js"""
    temperature: Positive = 1.0
    """temperature of the losses kl and js"""
    adversarial: Weight = 1.0
    """weight of the divergence of student and teacher, a mean over samples and classes"""
    adv_temperature: Positive = 3.0
    """temperature of the divergence of student and teacher"""


class Options(AdversaryOptions):
    """Settings of MB-DFKD."""

    store: Store = "mixture"
    """mixture: fresh images and images of earlier rounds; fresh: fresh images only, without the bank; same, step, again
    and pool are possible too"""
    memory_size: Count | None = 4096
    """number of newest images that the bank keeps"""


@dataclass
class Terms:
    """The terms of loss_G for a batch. The gradient of the divergence passes through the student only."""

    options: AdversaryOptions
    of_dafl: dafl.Terms

    def __call__(self, ctx: Context, images: Images) -> dict[str, Tensor]:
        o = self.options
        t, terms = self.of_dafl.look(ctx, images)
        if o.adversarial > 0:
            divergence = ctx.ranks.gather(clamped_js(t.detach(), ctx.student_logits(images), o.adv_temperature)).mean()
            terms["adversarial_term"] = -o.adversarial * (divergence / ctx.shape.num_classes).clamp(0, 1)
        return terms


def build(options: AdversaryOptions, ctx: Context) -> Method:
    """Builds MB-DFKD for one run. Raises the same errors as DAFL."""
    terms = Terms(options, dafl.terms_of(options, ctx))
    return generator_method(options, ctx, terms, Divergence(options.loss, options.temperature), student_trains=True)
