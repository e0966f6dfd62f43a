import pytest
import torch
from torch import nn

from cudfkd import models
from cudfkd.errors import ConfigError
from cudfkd.models import Generator, LeNet5, ModelSpec, build, rebuild, spec_of

SIZES = pytest.mark.parametrize("size", [16, 28, 32, 64])
CHANNELS = pytest.mark.parametrize("channels", [1, 3])
NAMES = ["lenet5", "lenet5-half"]


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def equal_weights(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


# LeNet-5


@SIZES
@CHANNELS
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("classes", [2, 10])
def test_classifier_maps_images_to_logits(name, size, channels, classes):
    network = build(name, classes, channels, size)
    logits = network(torch.rand(4, channels, size, size))
    assert logits.shape == (4, classes)
    logits.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("size", [17, 21, 30, 33, 63])
def test_lenet_takes_any_size_from_16_pixels_on(size):
    assert build("lenet5", image_size=size)(torch.rand(2, 1, size, size)).shape == (2, 10)


# convolution 1: 5 * 5 * channels * c1 without bias; BatchNorm 2 a channel; convolution 2: 5 * 5 * c1 * c2;
# convolution 3: left * left * c2 * c3 with left = 2, 5, 6, 14 at 16, 28, 32, 64 pixels; linear layers with bias.
# lenet5, 28 pixels, 1 channel: 150 + 12 + 2,400 + 32 + 48,000 + 240 + 10,164 + 850 = 61,848
# lenet5-half (3, 8, 60, 42):    75 +  6 +   600 + 16 + 12,000 + 120 +  2,562 + 430 = 15,809
@pytest.mark.parametrize(
    ("name", "size", "channels", "classes", "count"),
    [
        ("lenet5", 28, 1, 10, 61_848),
        ("lenet5", 28, 3, 10, 61_848 + 300),
        ("lenet5", 16, 1, 10, 61_848 - 48_000 + 7_680),
        ("lenet5", 32, 1, 10, 61_848 - 48_000 + 69_120),
        ("lenet5", 64, 3, 10, 61_848 + 300 - 48_000 + 376_320),
        ("lenet5", 28, 1, 100, 61_848 + 90 * 85),
        ("lenet5-half", 28, 1, 10, 15_809),
        ("lenet5-half", 32, 3, 10, 15_809 + 150 - 12_000 + 17_280),
        ("lenet5-half", 28, 1, 100, 15_809 + 90 * 43),
    ],
)
def test_parameter_counts(name, size, channels, classes, count):
    assert parameters(build(name, classes, channels, size)) == count


def widths(network: nn.Module) -> list[int]:
    return [m.out_channels for m in network.modules() if isinstance(m, nn.Conv2d)] + [
        m.out_features for m in network.modules() if isinstance(m, nn.Linear)
    ]


def test_half_width_halves_every_layer_but_the_logits():
    assert widths(build("lenet5")) == [6, 16, 120, 84, 10]
    assert widths(build("lenet5-half")) == [3, 8, 60, 42, 10]


def test_a_tiny_width_keeps_a_channel():
    assert widths(LeNet5(width=0.01)) == [1, 1, 1, 1, 10]


def test_batch_norm_follows_each_convolution():
    layers = [type(m) for m in build("lenet5").modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
    assert layers == [nn.Conv2d, nn.BatchNorm2d] * 3


# Seeds


@pytest.mark.parametrize("name", NAMES)
def test_weights_depend_on_the_seed_alone(name):
    torch.manual_seed(1)
    first = build(name, seed=5)
    torch.manual_seed(2)
    assert equal_weights(first, build(name, seed=5))
    assert not equal_weights(first, build(name, seed=6))


def test_the_global_generator_is_left_alone():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    build("lenet5", seed=5)
    assert torch.equal(torch.rand(3), expected)


def test_the_generators_of_gpus_are_left_alone(monkeypatch):
    """torch.manual_seed seeds all devices, and a fork of the CPU's generator gives only the CPU's back."""
    seeded = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    build("lenet5", seed=5)
    assert seeded == []


@pytest.mark.gpu
def test_the_generator_of_the_gpu_is_left_alone():
    torch.cuda.manual_seed(1)
    expected = torch.rand(3, device="cuda")
    torch.cuda.manual_seed(1)
    build("lenet5", seed=5)
    assert torch.equal(torch.rand(3, device="cuda"), expected)


# Descriptions and names


@pytest.mark.parametrize("name", NAMES)
def test_a_description_rebuilds_the_network(name):
    network = build(name, num_classes=7, channels=3, image_size=32, seed=4)
    spec = spec_of(network)
    assert spec == {"name": name, "num_classes": 7, "channels": 3, "image_size": 32}
    again = rebuild(spec)
    assert spec_of(again) == spec
    again.load_state_dict(network.state_dict())
    x = torch.rand(2, 3, 32, 32)
    assert torch.equal(again.eval()(x), network.eval()(x))


def test_a_foreign_network_has_no_description():
    assert spec_of(nn.Linear(2, 2)) is None
    assert spec_of(LeNet5()) is None
    foreign = nn.Linear(2, 2)
    foreign.spec = {"name": "lenet5"}
    assert spec_of(foreign) is None
    foreign.spec = ModelSpec("lenet5", 10, 1, 28)
    assert spec_of(foreign) == {"name": "lenet5", "num_classes": 10, "channels": 1, "image_size": 28}


def test_names_are_what_build_knows():
    assert set(NAMES) <= set(models.names())
    assert models.names() == sorted(models.names())
    for name in models.names():
        assert models.check(name) == name
        assert spec_of(build(name, image_size=32))["name"] == name


@pytest.mark.parametrize("function", [models.check, build])
def test_unknown_name_suggests_the_nearest(function):
    with pytest.raises(ConfigError) as error:
        function("lenet-5")
    line = str(error.value)
    assert line.startswith("unknown model 'lenet-5': did you mean 'lenet5'? known: ")
    assert "lenet5-half" in line
    assert "\n" not in line


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [15, 8, 0, -4])
def test_images_that_are_too_small_are_refused(name, size):
    with pytest.raises(ConfigError, match=rf"^image_size = {size} is not allowed: {name} needs 16 pixels or more$"):
        build(name, image_size=size)


# Generator


@SIZES
@CHANNELS
def test_generator_makes_images_in_0_1(size, channels):
    generator = Generator(latent_dim=12, channels=channels, image_size=size, width=4)
    for scale in (1.0, 1e3):
        images = generator(scale * torch.randn(5, 12))
        assert images.shape == (5, channels, size, size)
        assert images.min() >= 0
        assert images.max() <= 1
    assert generator.eval()(torch.randn(1, 12)).shape == (1, channels, size, size)


@pytest.mark.parametrize("size", [20, 36, 44, 60, 68, 72])
def test_generator_takes_any_multiple_of_4(size):
    assert Generator(8, 1, size, 2)(torch.randn(2, 8)).shape == (2, 1, size, size)


@pytest.mark.parametrize("size", [15, 18, 30, 33, 66])
def test_other_sizes_are_refused(size):
    with pytest.raises(
        ConfigError, match=rf"^image_size = {size} is not allowed: the generator needs a multiple of 4$"
    ):
        Generator(image_size=size)


@pytest.mark.parametrize(("size", "depth"), [(16, 2), (28, 2), (32, 2), (60, 2), (64, 3), (68, 2), (72, 3)])
def test_depth_of_the_generator(size, depth):
    doublings = [m for m in Generator(8, 1, size, 2).modules() if isinstance(m, nn.Upsample)]
    assert len(doublings) == depth


# The paper's 32-pixel generator, w = 64, z of 512: linear 512 -> 256 * 8 * 8 with bias 8,404,992; BatchNorm 512;
# convolution 256 -> 128 without bias 294,912; BatchNorm 256; 128 -> 64: 73,728; BatchNorm 128; 64 -> 3 with bias 1,731.
# At 64 pixels, z of 1024: linear 1024 -> 512 * 8 * 8 33,587,200; BatchNorm 1,024; 512 -> 256: 1,179,648; BatchNorm 512;
# then 294,912 + 256 + 73,728 + 128 + 1,731. Ours: w = 16, z of 64, 28 pixels, 1 channel:
# 64 -> 64 * 7 * 7: 203,840; 128; 64 -> 32: 18,432; 64; 32 -> 16: 4,608; 32; 16 -> 1: 145.
@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        ((512, 3, 32, 64), 8_404_992 + 512 + 294_912 + 256 + 73_728 + 128 + 1_731),
        ((1024, 3, 64, 64), 33_587_200 + 1_024 + 1_179_648 + 512 + 294_912 + 256 + 73_728 + 128 + 1_731),
        ((64, 1, 28, 16), 203_840 + 128 + 18_432 + 64 + 4_608 + 32 + 145),
    ],
)
def test_parameter_counts_of_the_generator(arguments, count):
    with torch.device("meta"):
        generator = Generator(*arguments)
    assert parameters(generator) == count


def test_generator_starts_as_dcgan_does():
    generator = Generator(latent_dim=64, width=16)
    for layer in generator.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            assert layer.weight.mean().item() == pytest.approx(0, abs=0.008)
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.25)
            assert layer.bias is None or not layer.bias.any()
        elif isinstance(layer, nn.BatchNorm2d):
            assert layer.weight.mean().item() == pytest.approx(1, abs=0.02)
            assert 0.01 < layer.weight.std().item() < 0.03
            assert not layer.bias.any()


def test_generator_leaks_with_slope_02():
    assert {m.negative_slope for m in Generator().modules() if isinstance(m, nn.LeakyReLU)} == {0.2}


def test_generator_remembers_its_arguments():
    arguments = {"latent_dim": 12, "channels": 3, "image_size": 32, "width": 4}
    generator = Generator(**arguments)
    assert generator.arguments == arguments
    assert generator.latent_dim == 12
    again = Generator(**generator.arguments)
    again.load_state_dict(generator.state_dict())
    z = torch.randn(3, 12)
    assert torch.equal(again.eval()(z), generator.eval()(z))


def test_generators_images_depend_on_the_latents():
    generator = Generator().train()
    a, b = generator(torch.randn(8, 64)), generator(torch.randn(8, 64))
    assert not torch.allclose(a, b)
    assert a.std(0).max() > 0
