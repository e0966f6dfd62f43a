"""LeNet-5 (LeCun et al., 1998) with BatchNorm after each convolution, ReLU, and average pooling as in the original."""

from jaxtyping import Float
from torch import Tensor, nn


class LeNet5(nn.Module):
    """LeNet-5 with BatchNorm: convolutions of 6, 16 and 120 channels, then 84 units and the logits.

    The third convolution covers the full remaining map (5 x 5 at 28 pixels), as in the original. So every square image
    of 16 pixels or more fits.

    Arguments:
        num_classes: number of logits.
        channels: colour channels of the images.
        image_size: height and width of the images in pixels, at least 16.
        width: factor on the number of channels of every layer; 0.5 gives the half-width student.
    """

    def __init__(self, num_classes: int = 10, channels: int = 1, image_size: int = 28, width: float = 1.0) -> None:
        super().__init__()
        c1, c2, c3, hidden = (max(1, round(width * n)) for n in (6, 16, 120, 84))
        remaining = (image_size // 2 - 4) // 2
        self.features = nn.Sequential(
            *_block(channels, c1, kernel_size=5, padding=2), nn.AvgPool2d(2),
            *_block(c1, c2, kernel_size=5), nn.AvgPool2d(2),
            *_block(c2, c3, kernel_size=remaining),
        )  # fmt: skip
        self.classifier = nn.Sequential(nn.Linear(c3, hidden), nn.ReLU(), nn.Linear(hidden, num_classes))

    def forward(self, x: Float[Tensor, "batch channels size size"]) -> Float[Tensor, "batch classes"]:
        first, *later = self.features
        x = first(x).contiguous()  # with so few channels, pooling and BatchNorm are slower in channels_last
        for layer in later:
            x = layer(x)
        return self.classifier(x.flatten(1))


def _block(inputs: int, outputs: int, kernel_size: int, padding: int = 0) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(inputs, outputs, kernel_size, padding=padding, bias=False)
    return convolution, nn.BatchNorm2d(outputs), nn.ReLU()
