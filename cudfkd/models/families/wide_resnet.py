"""Wide residual networks, WRN-depth-width (Zagoruyko & Komodakis, 2016), with pre-activation blocks."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import relu

from cudfkd.models.families.kaiming import kaiming


class PreActivationBlock(nn.Module):
    """Residual block x + branch(active), active = relu(BatchNorm(x)), branch = conv 3 x 3, BN, ReLU, conv 3 x 3.

    Source: He et al., 2016, "Identity Mappings". If the number of channels changes, the sum is projection(active) +
    branch(active), with a convolution 1 x 1 of the activated input, as in the authors' code. The block has no dropout.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.projection = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if inputs != outputs else None

    def forward(self, x: Float[Tensor, "batch inputs size size"]) -> Float[Tensor, "batch outputs less less"]:
        activated = relu(self.norm1(x))
        residual = self.conv2(relu(self.norm2(self.conv1(activated))))
        return residual + (x if self.projection is None else self.projection(activated))


class WideResNet(nn.Module):
    """A stem of 16 channels, then three stages of (depth - 4) / 6 blocks and 16, 32, 64 times `width` channels.

    Stages 2 and 3 halve the image. BN, ReLU and the average over the map follow. Every size of 8 pixels or more fits.
    `kaiming` sets the initial weights. Methods may watch these modules:

        stem                 output
        stage1 to stage3     outputs: sums, before any activation
        norm                 output, before its ReLU
        classifier           input: the average

    Arguments:
        depth: 6 n + 4 with n blocks per stage; 16 or 40 in the paper's pairs of teacher and student.
        width: factor on the channels of the stages.
        num_classes: number of logits.
        channels: colour channels of the images.
    """

    def __init__(self, depth: int, width: int, num_classes: int = 10, channels: int = 3) -> None:
        super().__init__()
        blocks, wide = (depth - 4) // 6, 16 * width
        self.stem = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.stage1 = _stage(blocks, 16, wide, stride=1)
        self.stage2 = _stage(blocks, wide, 2 * wide, stride=2)
        self.stage3 = _stage(blocks, 2 * wide, 4 * wide, stride=2)
        self.norm = nn.BatchNorm2d(4 * wide)
        self.classifier = nn.Linear(4 * wide, num_classes)
        self.apply(kaiming)

    def forward(self, x: Float[Tensor, "batch channels size size"]) -> Float[Tensor, "batch classes"]:
        features = self.stage3(self.stage2(self.stage1(self.stem(x))))
        return self.classifier(relu(self.norm(features)).mean((2, 3)))


def _stage(blocks: int, inputs: int, outputs: int, stride: int) -> nn.Sequential:
    later = (PreActivationBlock(outputs, outputs) for _ in range(blocks - 1))
    return nn.Sequential(PreActivationBlock(inputs, outputs, stride), *later)
