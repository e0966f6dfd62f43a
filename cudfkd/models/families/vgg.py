"""VGG-11 (Simonyan & Zisserman, 2015, configuration A) with BatchNorm, for small images."""

from jaxtyping import Float
from torch import Tensor, nn

from cudfkd.models.families.kaiming import kaiming


class VGG11(nn.Module):
    """Five stages of 1, 1, 2, 2, 2 convolutions 3 x 3 with bias, each with BN and ReLU, of 64 to 512 channels.

        ours, as in the public code of CuDFKD and related code             original, for 224 pixels
        max pool after stages 1 to 3; from 64 pixels on, also after 4      max pool after all five stages
        one linear layer                                                   three linear layers

    So the last stage sees a map of 4 x 4 at 32 and at 64 pixels, which is averaged. Every size of 8 pixels or more
    fits. `kaiming` sets the initial weights. Methods may watch these modules:

        stage1 to stage5     outputs, after their pool
        classifier           input: the average

    Arguments:
        num_classes: number of logits.
        channels: colour channels of the images.
        image_size: height and width of the images in pixels, at least 8.
    """

    def __init__(self, num_classes: int = 10, channels: int = 3, image_size: int = 32) -> None:
        super().__init__()
        self.stage1 = nn.Sequential(*_block(channels, 64), nn.MaxPool2d(2))
        self.stage2 = nn.Sequential(*_block(64, 128), nn.MaxPool2d(2))
        self.stage3 = nn.Sequential(*_block(128, 256), *_block(256, 256), nn.MaxPool2d(2))
        pool = nn.MaxPool2d(2) if image_size >= 64 else nn.Identity()
        self.stage4 = nn.Sequential(*_block(256, 512), *_block(512, 512), pool)
        self.stage5 = nn.Sequential(*_block(512, 512), *_block(512, 512))
        self.classifier = nn.Linear(512, num_classes)
        self.apply(kaiming)

    def forward(self, x: Float[Tensor, "batch channels size size"]) -> Float[Tensor, "batch classes"]:
        features = self.stage5(self.stage4(self.stage3(self.stage2(self.stage1(x)))))
        return self.classifier(features.mean((2, 3)))


def _block(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()
