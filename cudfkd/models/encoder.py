"""The encoder of a variational autoencoder (Kingma and Welling, 2014), the mirror image of this package's generator."""

from jaxtyping import Float
from torch import Tensor, nn


class Encoder(nn.Module):
    """Maps images to mean and log variance of their latents: two convolutions of stride 2, BN, LReLU, a linear layer.

    Arguments:
        latent_dim: length of a latent vector.
        channels: colour channels of the images.
        image_size: height and width in pixels, a multiple of 4.
        width: channels of the first convolution; the second convolution has twice as many channels.
    """

    def __init__(self, latent_dim: int, channels: int, image_size: int, width: int) -> None:
        super().__init__()
        side = image_size // 4
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 3, 2, padding=1, bias=False), nn.BatchNorm2d(width), nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 3, 2, padding=1, bias=False), nn.BatchNorm2d(2 * width), nn.LeakyReLU(0.2),
            nn.Flatten(), nn.Linear(2 * width * side * side, 2 * latent_dim),
        )  # fmt: skip

    def forward(
        self, images: Float[Tensor, "batch channels size size"]
    ) -> tuple[Float[Tensor, "batch latent"], Float[Tensor, "batch latent"]]:
        mean, log_variance = self.layers(images).chunk(2, dim=1)
        return mean, log_variance
