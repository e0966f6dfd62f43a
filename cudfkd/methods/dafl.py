"""DAFL (Chen et al., "Data-Free Learning of Student Networks", 2019).

A generator whose images the teacher is certain of (one_hot), that spread over the classes (class_entropy) and that
excite the teacher's feature f, the input of its last linear layer (activation):

    L_G = one_hot * CE(t, argmax t) + class_entropy * (-H(mean p_t)) + activation * (-mean |f|)
    L_S = mean_i KL(p_t || p_s)

It does not look at the student. The repositories disagree: the authors take one joint step on one batch, with weights
of their own a data set (CIFAR-10: 0.05, 5 with a logarithm to base 10, 0.01); the code of CMI, whose numbers the later
papers compare with, takes five student steps on fresh images to a step of the generator. The latter is our default;
round_steps=1 with store="same" is the former. Where we differ: the generator (theirs has a BatchNorm of eps 0.8).
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
    """DAFL's own settings."""

    one_hot: Weight = 1.0
    """weight of the teacher's certainty"""
    class_entropy: Weight = 20.0
    """weight of drawing all classes equally"""
    activation: Weight = 1e-3
    """weight of a large feature in the teacher; 0 for a teacher without linear layer"""
    feature: str = ""
    """module of the teacher whose input is the feature; default: its last linear layer"""
    temperature: Positive = 1.0
    """softens the student's divergence"""


@dataclass
class Terms:
    """L_G of a batch."""

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
    """DAFL for one run. Raises ConfigError when the teacher has no such module, or no linear layer."""
    return generator_method(
        options, ctx, Terms(options, feature_watch(options, ctx)), Divergence("kl", options.temperature)
    )


def feature_watch(options: Options, ctx: Context) -> Watch | None:
    """What sees the feature; None where its term is off. Raises ConfigError where there is none."""
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
