"""The generator: a small DCGAN decoder (Radford et al., 2016), as in the public code of CuDFKD."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d, pad

from cudfkd.base.errors import ConfigError
from cudfkd.models.normalize import Denormalize

Output = Literal["sigmoid", "standardised", "scaled"]


class UpConv2d(nn.Conv2d):
    """Nearest-neighbour upsampling by 2 and a convolution 3 x 3 without bias, as one transposed convolution.

    Each of the 9 weights w multiplies one of 4 neighbours in the small image. So the sum equals a transposed
    convolution of stride 2. Its kernel 4 x 4 is the sum of w and of w shifted by one row, by one column, and by both.
    It needs 4 products instead of 9, and the large image is never written.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1, bias=False)

    def forward(self, input: Float[Tensor, "batch inputs size size"]) -> Float[Tensor, "batch outputs twice twice"]:
        w = self.weight.flip(2, 3).transpose(0, 1)
        rows = pad(w, (0, 0, 1, 0)) + pad(w, (0, 0, 0, 1))
        x = input.contiguous(memory_format=torch.channels_last)  # the faster layout, on CPU and GPU
        return conv_transpose2d(x, pad(rows, (1, 0)) + pad(rows, (0, 1)), stride=2, padding=1)


class Generator(nn.Module):
    """Maps latent vectors to images: a linear layer to a small map, `depth` doublings, a convolution, an output.

    With latent z, width w and images of `size` pixels, depth 2 is

        Linear(z -> 4w * size/4 * size/4), BN, [up, conv 4w -> 2w, BN, LReLU], [up, conv 2w -> w, BN, LReLU],
        conv w -> channels, output

    The output is one of three:

        sigmoid        sigmoid: images in [0, 1]
        standardised   tanh, BN without scale: each channel of a batch has mean 0 and variance 1 in the networks' units
        scaled         BN with a learned scale: the networks' units, without a limit

    The networks' units are (x - mean) / std. The last two outputs are brought back to x, which may leave [0, 1].

    The paper has w = 64, and z of 512 at 32 pixels; at 64 pixels, depth 3 and z of 1024. Weights start as N(0, 0.02),
    scales of BN as N(1, 0.02).

    Arguments:
        latent_dim: length of a latent vector, drawn from N(0, I).
        channels: colour channels of the images.
        image_size: height and width of the images in pixels, a multiple of 4. The depth is 2; it is 3 for 64 pixels or
            more if the size is a multiple of 8.
        width: channels before the last convolution.
        output: sigmoid, standardised or scaled.
        mean: mean of each channel, for the networks' units; None: 0. The sigmoid does not use it.
        std: standard deviation of each channel, for the networks' units; None: 1. The sigmoid does not use it.
    """

    uses_all_parameters = True  # in every pass, so that ranks need not search for unused parameters

    def __init__(
        self,
        latent_dim: int = 64,
        channels: int = 1,
        image_size: int = 28,
        width: int = 16,
        output: Output = "sigmoid",
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if image_size % 4:
            raise ConfigError(f"image_size = {image_size} is not allowed: the generator needs a multiple of 4")
        depth = 3 if image_size >= 64 and image_size % 8 == 0 else 2
        self.latent_dim = latent_dim
        self.arguments: dict[str, Any] = {
            "latent_dim": latent_dim,
            "channels": channels,
            "image_size": image_size,
            "width": width,
        }
        if output != "sigmoid":  # descriptions of runs from before there were other outputs have four arguments
            self.arguments |= {"output": output, "mean": mean and list(mean), "std": std and list(std)}
        start, size = width * 2**depth, image_size // 2**depth
        layers: list[nn.Module] = [
            nn.Linear(latent_dim, start * size * size),
            nn.Unflatten(1, (start, size, size)),
            nn.BatchNorm2d(start),
        ]
        for level in range(depth, 0, -1):
            wide, narrow = width * 2**level, width * 2 ** (level - 1)
            layers += [
                UpConv2d(wide, narrow),
                nn.BatchNorm2d(narrow),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        layers += [nn.Conv2d(width, channels, 3, padding=1)]
        if output == "sigmoid":
            layers += [nn.Sigmoid()]
        elif output == "standardised":
            layers += [nn.Tanh(), nn.BatchNorm2d(channels, affine=False), Denormalize(mean, std)]
        else:
            layers += [nn.BatchNorm2d(channels), Denormalize(mean, std)]
        self.layers = nn.Sequential(*layers)
        self.reset()

    def reset(self) -> None:
        """Draws new random weights from the global random generator, and resets the statistics of BatchNorm."""
        self.apply(initialise)

    def forward(self, z: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch channels size size"]:
        return self.layers(z)


def initialise(module: nn.Module) -> None:
    """Sets one layer to the initial state of a new generator; draws its weights from the global random generator."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        module.reset_parameters()
        if module.affine:
            nn.init.normal_(module.weight, 1.0, 0.02)
