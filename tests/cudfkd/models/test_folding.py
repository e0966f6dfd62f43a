"""BatchNorm folded into convolutions: the logits stay the same; a layer that is observed is not folded."""

import pytest
import torch
import torchvision
from torch import nn

from cudfkd.models import build
from cudfkd.models.folding import folded

PROBE = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def trained(network: nn.Module) -> nn.Module:
    """Gives the network statistics and scales as after training: no value is 0 or 1."""
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.uniform_(-0.5, 0.5)
                for tensor in (layer.running_var, layer.weight, layer.bias):
                    tensor.uniform_(0.5, 1.5)
    return network.eval()


def left(network: nn.Module) -> int:
    return sum(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())


def block(use_twice: bool) -> nn.Module:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

        def forward(self, x):
            y = self.conv(x)
            return (self.norm(y) + y if use_twice else self.norm(y)).mean((2, 3))

    return trained(Block())


# which BatchNorm layers do not follow a convolution alone: LeNet's first lies behind a change of layout; in a WRN, each
# that takes a sum, and the first, whose input is added to the sum as well where the stem is as wide as the stage
@pytest.mark.parametrize(
    ("name", "unfolded"),
    [("lenet5", 1), ("resnet18", 0), ("vgg11-bn", 0), ("wrn-16-1", 7), ("wrn-16-2", 6)],
)
def test_our_networks_give_the_same_logits_folded(name, unfolded):
    network = trained(build(name, 10, 3, 32).double())
    x = torch.randn(5, 3, 32, 32, dtype=torch.float64)
    fast = folded(network, PROBE.double())
    assert left(fast) == unfolded < left(network)
    torch.testing.assert_close(fast(x), network(x))


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "shufflenet_v2_x0_5"])
def test_networks_of_others_are_folded_too(name):
    network = trained(getattr(torchvision.models, name)(num_classes=10).double())
    fast = folded(network, PROBE.double())
    assert left(fast) == 0
    torch.testing.assert_close(fast(PROBE.double()), network(PROBE.double()))


def test_a_convolution_that_is_looked_at_elsewhere_is_not_folded():
    assert left(folded(block(use_twice=False), PROBE)) == 0
    used_twice = block(use_twice=True)
    assert folded(used_twice, PROBE) is used_twice


def test_a_layer_that_is_called_twice_is_not_folded():
    norm = nn.BatchNorm2d(3)
    network = trained(nn.Sequential(nn.Conv2d(3, 3, 1), norm, nn.Conv2d(3, 3, 1), norm, nn.Flatten()))
    assert folded(network, PROBE) is network


def test_networks_with_hooks_or_nothing_to_fold_are_returned_as_they_are():
    hooked = block(use_twice=False)
    hooked.norm.register_forward_hook(lambda *_: None)
    plain = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten())
    scripted = torch.jit.script(nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.Flatten()).eval())
    for network in (hooked, plain, scripted):
        assert folded(network, PROBE) is network


def test_the_network_itself_is_left_alone():
    network = block(use_twice=False)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    folded(network, PROBE)
    assert left(network) == 1
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in network.modules())


def test_logits_that_differ_are_noticed(monkeypatch):
    monkeypatch.setattr("cudfkd.models.folding.fuse_conv_bn_eval", lambda convolution, norm: convolution)
    network = block(use_twice=False)
    assert folded(network, PROBE) is network


@pytest.fixture
def tf32(monkeypatch):
    """Convolutions as on a GPU with TF32: float32 inputs have ten bits after the point."""
    plain = nn.functional.conv2d

    def ten_bits(x):
        return (x.view(torch.int32) + 0x1000 & ~0x1FFF).view(torch.float32)

    def conv2d(x, weight, *arguments):
        exact = x.dtype == torch.float64
        return plain(x, weight, *arguments) if exact else plain(ten_bits(x), ten_bits(weight), *arguments)

    monkeypatch.setattr(nn.functional, "conv2d", conv2d)


@pytest.mark.usefixtures("tf32")
def test_rounding_to_tf32_is_no_reason_to_give_up():
    torch.manual_seed(1)  # of four seeds the one with which it is most: the control
    network = trained(build("resnet18", 10, 3, 32, seed=1))
    fast = folded(network, PROBE)
    assert left(fast) == 0
    apart = (fast(PROBE) - network(PROBE)).abs().max()
    assert apart > 1e4 * torch.finfo(torch.float32).eps * (1 + network(PROBE).abs().max())


class Float32(nn.Module):
    """A network that converts every input to float32."""

    def __init__(self) -> None:
        super().__init__()
        self.block = block(use_twice=False)

    def forward(self, x):
        return self.block(x.float())


def test_a_network_that_cannot_be_float64_is_compared_as_it_is(monkeypatch):
    network = Float32().eval()
    assert left(folded(network, PROBE)) == 0
    monkeypatch.setattr("cudfkd.models.folding.fuse_conv_bn_eval", lambda convolution, norm: convolution)
    assert folded(network, PROBE) is network
