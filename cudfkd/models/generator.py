"""The generator: a small DCGAN decoder (Radford et al., 2016), as in the public code of CuDFKD."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d, pad

from cudfkd.base.errors import ConfigError


class UpConv2d(nn.Conv2d):
    """Nearest-neighbour upsampling by 2, then a convolution 3 x 3 without bias: as one transposed convolution.

    Each of the 9 weights w meets one of 4 neighbours in the small image, so that the same sum is a transposed
    convolution of stride 2 with the kernel 4 x 4 that adds w to itself shifted by one row, column and both. It needs 4
    products where 9 would be made, and the large image is never written.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1, bias=False)

    def forward(self, input: Float[Tensor, "batch inputs size size"]) -> Float[Tensor, "batch outputs twice twice"]:
        w = self.weight.flip(2, 3).transpose(0, 1)
        rows = pad(w, (0, 0, 1, 0)) + pad(w, (0, 0, 0, 1))
        x = input.contiguous(memory_format=torch.channels_last)  # in which it is faster, on CPU and GPU
        return conv_transpose2d(x, pad(rows, (1, 0)) + pad(rows, (0, 1)), stride=2, padding=1)


class Generator(nn.Module):
    """Latent vectors to images in [0, 1]: a linear layer to a small map, then `depth` doublings, then one convolution.

    With the code's names, depth 2 is Linear(z -> 4w * s/4 * s/4), BN, [up, conv 4w -> 2w, BN, LReLU],
    [up, conv 2w -> w, BN, LReLU], conv w -> channels, sigmoid (facts of the paper: w = 64, z of 512 at 32 pixels;
    depth 3 and z of 1024 at 64 pixels). Weights start as N(0, 0.02), BN scales as N(1, 0.02).

    Arguments:
        latent_dim: length of a latent vector, drawn from N(0, I).
        channels: colour channels of the images.
        image_size: height and width in pixels, a multiple of 4. The depth is 2, or 3 from 64 pixels on if 8 divides it.
        width: channels before the last convolution.
    """

    uses_all_parameters = True  # in every pass, so that ranks need not look for unused ones

    def __init__(self, latent_dim: int = 64, channels: int = 1, image_size: int = 28, width: int = 16) -> None:
        super().__init__()
        if image_size % 4:
            raise ConfigError(f"image_size = {image_size} is not allowed: the generator needs a multiple of 4")
        depth = 3 if image_size >= 64 and image_size % 8 == 0 else 2
        self.latent_dim = latent_dim
        self.arguments = {"latent_dim": latent_dim, "channels": channels, "image_size": image_size, "width": width}
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
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, channels, 3, padding=1), nn.Sigmoid())
        self.reset()

    def reset(self) -> None:
        """New random weights, from the global generator, and the statistics of a new network."""
        self.apply(initialise)

    def forward(self, z: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch channels size size"]:
        return self.layers(z)


def initialise(module: nn.Module) -> None:
    """Sets one layer back to where a new generator's starts; weights from the global generator of random numbers."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        module.reset_parameters()
        nn.init.normal_(module.weight, 1.0, 0.02)
