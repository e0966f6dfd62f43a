"""Images as their teacher sees them: features before the last layer, classes, and the terms of F12."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cudfkd.base.errors import ConfigError
from cudfkd.losses import class_entropy, one_hot
from cudfkd.models.normalize import Normalize
from cudfkd.models.watch import Watch, names_of


class Seen(NamedTuple):
    """n images as a teacher sees them.

    features: inputs of the teacher's last linear layer.
    logits: its logits.
    """

    features: Float[Tensor, "n channels"]
    logits: Float[Tensor, "n classes"]

    @property
    def classes(self) -> Tensor:
        """The teacher's class of each image."""
        return self.logits.argmax(1)

    @property
    def counts(self) -> Tensor:
        """The number of images of each class."""
        return self.classes.bincount(minlength=self.logits.shape[1])

    @property
    def terms(self) -> dict[str, float]:
        """The three terms of F12, by their names there.

        negative class entropy: minus the entropy of the mean prediction in nats; at least -ln(classes), and with few
            images at least -ln(n) or so.
        certainty: cross-entropy of the teacher with its own class; 0 where it is certain.
        activation: minus the mean absolute feature.
        """
        return {
            "negative class entropy": -float(class_entropy(self.logits)),
            "certainty": float(one_hot(self.logits)),
            "activation": -float(self.features.abs().mean()),
        }


@torch.no_grad()
def seen(
    teacher: nn.Module,
    images: Float[Tensor, "n channels size size"],
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
) -> Seen:
    """Looks at images in [0, 1] with a teacher in eval mode.

    Raises:
        ConfigError: the teacher has no linear layer; its features would be the inputs of that layer.
    """
    layers = names_of(teacher, nn.Linear)
    if not layers:
        raise ConfigError("the teacher has no linear layer: its features are the inputs of the last linear layer")
    with Watch(teacher, layers[-1:], inputs=True).recording() as recorded:
        logits = teacher.eval()(Normalize(mean, std)(images))
    return Seen(recorded[layers[-1]].flatten(1), logits)
