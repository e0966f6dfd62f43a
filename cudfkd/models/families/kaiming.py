"""Initial weights of the convolutional networks: Kaiming (He et al., 2015, "Delving Deep into Rectifiers")."""

from torch import nn


def kaiming(module: nn.Module) -> None:
    """Sets the initial weights of one module; to be passed to `network.apply`.

    convolutions: N(0, variance 2 / fan-out), with fan-out = kernel area * outputs.
    biases: 0.
    scales of BatchNorm: unchanged, 1.
    weights of linear layers: unchanged, as torch draws them, even between -1 / sqrt(inputs) and 1 / sqrt(inputs).
    """
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
