"""ResNet (He et al., 2016, "Deep Residual Learning for Image Recognition") for small images.

The stem is a convolution 3 x 3 of stride 1 without max pool, as is usual on CIFAR.
"""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import relu

from cudfkd.models.families.kaiming import kaiming


class BasicBlock(nn.Module):
    """Residual block relu(branch(x) + shortcut(x)) with branch = conv 3 x 3, BN, ReLU, conv 3 x 3, BN.

    The shortcut is the identity, or a convolution 1 x 1 with BN where the number of channels or the size changes.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            projection = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(outputs))

    def forward(self, x: Float[Tensor, "batch inputs size size"]) -> Float[Tensor, "batch outputs less less"]:
        residual = self.norm2(self.conv2(relu(self.norm1(self.conv1(x)))))
        return relu(residual + self.shortcut(x))


class ResNet(nn.Module):
    """ResNet-18 with blocks (2, 2, 2, 2), ResNet-34 with (3, 4, 6, 3): stages of 64, 128, 256 and 512 channels.

    Stages 2 to 4 halve the image, so 32 pixels become maps of 4 x 4, which are averaged. Every size of 8 pixels or more
    fits. `kaiming` sets the initial weights. Methods may watch these modules:

        stem                 output
        stage1 to stage4     outputs, after their ReLU
        classifier           input: the average

    Arguments:
        blocks: number of basic blocks in each stage.
        num_classes: number of logits.
        channels: colour channels of the images.
    """

    def __init__(self, blocks: Sequence[int], num_classes: int = 10, channels: int = 3) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU())
        self.stage1 = _stage(blocks[0], 64, 64, stride=1)
        self.stage2 = _stage(blocks[1], 64, 128, stride=2)
        self.stage3 = _stage(blocks[2], 128, 256, stride=2)
        self.stage4 = _stage(blocks[3], 256, 512, stride=2)
        self.classifier = nn.Linear(512, num_classes)
        self.apply(kaiming)

    def forward(self, x: Float[Tensor, "batch channels size size"]) -> Float[Tensor, "batch classes"]:
        features = self.stage4(self.stage3(self.stage2(self.stage1(self.stem(x)))))
        return self.classifier(features.mean((2, 3)))


def _stage(blocks: int, inputs: int, outputs: int, stride: int) -> nn.Sequential:
    later = (BasicBlock(outputs, outputs) for _ in range(blocks - 1))
    return nn.Sequential(BasicBlock(inputs, outputs, stride), *later)
