"""DAFL (Chen et al., "Data-Free Learning of Student Networks", 2019).

A generator makes images for the student. The terms of its loss ask for three properties:

    one_hot         the teacher is certain of each image
    class_entropy   the batch spreads over the classes
    activation      the feature f, the input of the teacher's last linear layer, is large

    L_G = one_hot * CE(t, argmax t) + class_entropy * (-H(mean p_t)) + activation * (-mean |f|)
    L_S = mean_i KL(p_t || p_s)

The generator's loss does not depend on the student. The public repositories disagree. Our default takes its steps as
in the code of CMI (Fang et al., 2021), because the later papers compare with the numbers of that code. Where we differ
from the authors' code:

    | authors' code                                             | ours                                              |
    |-----------------------------------------------------------|---------------------------------------------------|
    | one joint step on one batch (round_steps=1, store="same") | a generator step, 5 student steps on fresh images |
    | its own weights for each data set                         | one set of weights by default                     |
    | one_hot: 0.05 (CIFAR-10)                                  | one_hot: 1                                        |
    | class_entropy: 5, logarithm to base 10 (CIFAR-10)         | class_entropy: 20, natural logarithm              |
    | activation: 0.01 (CIFAR-10)                               | activation: 0.001                                 |
    | generator with a BatchNorm layer of eps 0.8               | the generator of `cudfkd.models.generator`        |
"""

from dataclasses import dataclass

from torch import Tensor, nn

from cudfkd import losses
from cudfkd.base.errors import ConfigError
from cudfkd.base.precision import at_least_float32
from cudfkd.methods.parts.contract import About, Method
from cudfkd.methods.parts.generator import Divergence, Images, generator_method
from cudfkd.methods.parts.options import GeneratorOptions, Positive, Weight
from cudfkd.models.watch import Watch, names_of
from cudfkd.runs.context import Context

ABOUT = About("Chen et al., 2019", "a linear layer in the teacher, unless activation = 0", round_steps=5, ranks=True)


class Options(GeneratorOptions):
    """Settings of DAFL."""

    one_hot: Weight = 1.0
    """weight of the teacher's certainty"""
    class_entropy: Weight = 20.0
    """weight of the class entropy, which makes all classes equally frequent in a batch"""
    activation: Weight = 1e-3
    """weight of a large feature in the teacher; 0 for a teacher without a linear layer"""
    feature: str = ""
    """name of the teacher's module that takes the feature as input; default: its last linear layer"""
    temperature: Positive = 1.0
    """temperature of the divergence in the student's loss"""


@dataclass
class Terms:
    """The terms of L_G for a batch."""

    options: Options
    watch: Watch | None

    def __call__(self, ctx: Context, images: Images) -> dict[str, Tensor]:
        o, terms = self.options, {}
        if self.watch is None:
            t = ctx.teacher_logits(images)
        else:
            with self.watch.recording() as seen:
                t = ctx.teacher_logits(images)
            (feature,) = seen.values()
            terms["activation_term"] = -o.activation * at_least_float32(feature).abs().mean()
        entropy = losses.class_entropy(ctx.ranks.gather(t))
        return terms | {"one_hot_term": o.one_hot * losses.one_hot(t), "class_entropy_term": -o.class_entropy * entropy}


def build(options: Options, ctx: Context) -> Method:
    """Builds DAFL for one run. Raises ConfigError when the teacher has no module `feature`, or no linear layer."""
    return generator_method(
        options, ctx, Terms(options, feature_watch(options, ctx)), Divergence("kl", options.temperature)
    )


def feature_watch(options: Options, ctx: Context) -> Watch | None:
    """A watch on the feature; None if activation is 0. Raises ConfigError if the teacher has no feature."""
    if options.activation == 0:
        return None
    linear = names_of(ctx.teacher, nn.Linear)
    if not options.feature and not linear:
        raise ConfigError(
            "the teacher has no linear layer, whose input the term activation needs: name another module with feature,"
            " or set activation=0"
        )
    watch = Watch(ctx.teacher, [options.feature or linear[-1]], inputs=True)
    watch.try_on(ctx.probe())
    return watch
