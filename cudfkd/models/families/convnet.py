"""A plain network of five convolutions for colour images of 32 pixels, small enough for a CPU."""

from jaxtyping import Float
from torch import Tensor, nn

from cudfkd.models.families.kaiming import kaiming


class ConvNet(nn.Module):
    """Five convolutions 3 x 3 of 32, 64, 64, 128 and 128 channels, each with BatchNorm and ReLU, and a linear layer.

    The largest of each 2 x 2 pixels is kept after the second, the fourth and the fifth convolution. The linear layer
    gets the mean of each map. With three colours and 10 classes the network has 279,466 parameters, and 70,618 at half
    width. `kaiming` sets the initial weights.

    Arguments:
        num_classes: number of logits.
        channels: colour channels of the images.
        image_size: not used; a network fits every square image of 8 pixels or more.
        width: factor on the number of channels of every layer; 0.5 gives the half-width student.
    """

    def __init__(self, num_classes: int = 10, channels: int = 3, image_size: int = 32, width: float = 1.0) -> None:  # noqa: ARG002
        super().__init__()
        c1, c2, c3, c4, c5 = (max(1, round(width * n)) for n in (32, 64, 64, 128, 128))
        self.features = nn.Sequential(
            *_block(channels, c1), *_block(c1, c2), nn.MaxPool2d(2),
            *_block(c2, c3), *_block(c3, c4), nn.MaxPool2d(2),
            *_block(c4, c5), nn.MaxPool2d(2),
        )  # fmt: skip
        self.classifier = nn.Linear(c5, num_classes)
        self.apply(kaiming)

    def forward(self, x: Float[Tensor, "batch channels size size"]) -> Float[Tensor, "batch classes"]:
        return self.classifier(self.features(x).mean((2, 3)))


def _block(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
