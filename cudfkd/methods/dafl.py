"""DAFL (Chen et al., "Data-Free Learning of Student Networks", 2019).

A generator makes images for the student. The terms of its loss ask for three properties:

    one_hot         the teacher is certain of each image
    class_entropy   the batch spreads over the classes
    activation      the features, the inputs of the teacher's last linear layer, are large

    loss_G = one_hot * CE(t, argmax t) + class_entropy * (-H(mean p_t)) + activation * (-mean |features|)
    loss_S = mean_i KL(p_t || p_s)

The generator's loss does not depend on the student. A step of the generator and a step of the student take turns, on
one batch: the student studies the images that the generator made before its step. Images have mean 0 and variance 1 in
the teacher's units, which is the only tie between them and the training data.

The steps, the generator's end and the modes are the authors'. The weights are from the code of CMI (Fang et al., 2021),
with which the later papers compare. Where we differ from the authors' code:

    | authors' code                                           | ours                          | why                   |
    |---------------------------------------------------------|-------------------------------|-----------------------|
    | MNIST: the student has Adam, rate 2e-3                  | SGD, a rate that falls        | one engine for all    |
    | CIFAR: SGD, rate 0.1, falls in two steps                | it falls along half a cosine  | one schedule for all  |
    | weight decay 5e-4 (MNIST: none)                         | the run's, 1e-4               | one setting for all   |
    | LeNet: features enter the first of two linear layers    | the last linear layer         | any teacher           |
    | class_entropy 5, logarithm to base 10: 2.17 here        | 20, natural logarithm         | CMI's code            |
    | MNIST: one_hot 1, activation 0.1                        | 1 and 1e-3                    | CMI's code            |
    | CIFAR-10: one_hot 0.05, activation 0.01                 | 1 and 1e-3                    | CMI's code            |
    | CIFAR-100: one_hot 0.5, class_entropy 20 to base 10     | 1 and 20, natural logarithm   | CMI's code            |
    | latents of 100 (CIFAR: 1,000), width 64                 | latents of 64, width 8        | small networks        |
    | maps of 2, 2 and 1 times the width                      | of 4, 2 and 1 times the width | one generator for all |
    | two BatchNorm layers of the generator have eps 0.8      | eps 1e-5                      | one generator for all |
    | convolutions with bias, torch's initial weights         | bias in the last, N(0, 0.02)  | one generator for all |
    | the generator's rate is 0.2 (CIFAR: 0.02)               | 1e-2                          | a small generator     |
    | batch 512 (CIFAR: 1,024)                                | the run's batch               | one batch for all     |
    | 200 epochs (CIFAR: 2,000) of 120 steps                  | the run's length              | one length for all    |

In the code of CMI, the generator's Adam has betas (0.5, 0.999) and rate 1e-3, and latents have length 512. These
settings come close to its form:

    round_steps=5, store="fresh", sampling_mode="eval", generator_output="sigmoid"
"""

from dataclasses import dataclass

from torch import Tensor, nn

from cudfkd import losses
from cudfkd.base.errors import ConfigError
from cudfkd.base.precision import at_least_float32
from cudfkd.methods.parts.contract import About, Method
from cudfkd.methods.parts.generator import Divergence, Images, Logits, generator_method
from cudfkd.methods.parts.options import Count, Positive, StandardisedOptions, Store, Weight
from cudfkd.models.watch import Watch, names_of
from cudfkd.runs.context import Context

ABOUT = About("Chen et al., 2019", "a linear layer in the teacher, unless activation = 0", round_steps=1, ranks=True)


class GeneratorLoss(StandardisedOptions):
    """Settings of the terms that DAFL, MB-DFKD and PRE-DFKD share. Published values that differ are in parentheses."""

    latent_dim: Count = 64
    """length of the generator's latent vectors (1,000; DAFL for MNIST: 100)"""
    generator_width: Count = 8
    """channels before the generator's last convolution (64)"""
    generator_lr: Positive = 1e-2
    """learning rate of the generator's Adam (0.02; DAFL for MNIST: 0.2)"""
    one_hot: Weight = 1.0
    """weight of the teacher's certainty (DAFL for CIFAR-10: 0.05, CIFAR-100: 0.5)"""
    class_entropy: Weight = 20.0
    """weight of the class entropy, which makes all classes equally frequent in a batch (2.17: 5 with logarithms to base
    10; CIFAR-100: 8.7)"""
    activation: Weight = 1e-3
    """weight of a large feature in the teacher; 0 for a teacher without a linear layer (0.1; for CIFAR-10: 0.01)"""
    feature: str = ""
    """name of the teacher's module that takes the feature as input; default: its last linear layer"""


class Options(GeneratorLoss):
    """Settings of DAFL."""

    store: Store = "step"
    """step: the images of the generator's last step, for all steps of a round (published, with one step); fresh: new
    images for every step; same: one new batch for all steps of a round; again: images that the generator makes again of
    that step's latents, after the step; pool: images drawn from all images made so far; mixture: fresh images and
    images of earlier rounds"""
    temperature: Positive = 1.0
    """temperature of the divergence in the student's loss"""


@dataclass
class Terms:
    """The terms of loss_G for a batch."""

    options: GeneratorLoss
    watch: Watch | None

    def __call__(self, ctx: Context, images: Images) -> dict[str, Tensor]:
        return self.look(ctx, images)[1]

    def look(self, ctx: Context, images: Images) -> tuple[Logits, dict[str, Tensor]]:
        """The teacher's logits, and the terms by name."""
        o, terms = self.options, {}
        if self.watch is None:
            t = ctx.teacher_logits(images)
        else:
            with self.watch.recording() as seen:
                t = ctx.teacher_logits(images)
            (feature,) = seen.values()
            terms["activation_term"] = -o.activation * at_least_float32(feature).abs().mean()
        entropy = losses.class_entropy(ctx.ranks.gather(t))
        terms |= {"one_hot_term": o.one_hot * losses.one_hot(t), "class_entropy_term": -o.class_entropy * entropy}
        return t, terms


def build(options: Options, ctx: Context) -> Method:
    """Builds DAFL for one run. Raises ConfigError when the teacher has no module `feature`, or no linear layer."""
    return generator_method(options, ctx, terms_of(options, ctx), Divergence("kl", options.temperature))


def terms_of(options: GeneratorLoss, ctx: Context) -> Terms:
    """The terms, with a watch on the feature if activation is not 0.

    Raises:
        ConfigError: the teacher has no module `feature`, or no linear layer.
    """
    if options.activation == 0:
        return Terms(options, None)
    linear = names_of(ctx.teacher, nn.Linear)
    if not options.feature and not linear:
        raise ConfigError(
            "the teacher has no linear layer, whose input the term activation needs: name another module with feature,"
            " or set activation=0"
        )
    watch = Watch(ctx.teacher, [options.feature or linear[-1]], inputs=True)
    watch.try_on(ctx.probe())
    return Terms(options, watch)
