"""How the convolutional networks start: Kaiming initialisation (He et al., 2015, "Delving Deep into Rectifiers")."""

from torch import nn


def kaiming(module: nn.Module) -> None:
    """For `network.apply`: convolutions N(0, variance 2 / fan-out), fan-out = kernel area * outputs; every bias 0.

    Scales of BatchNorm stay 1, and weights of linear layers what torch draws, U(-a, a) with a = inputs^(-1/2).
    """
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
