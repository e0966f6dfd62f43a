from math import sqrt

import pytest
import torch
import torchvision
from torch import nn
from torch.nn.functional import batch_norm, conv2d, interpolate, linear, relu

import cudfkd
from cudfkd import models
from cudfkd.base.errors import ConfigError
from cudfkd.models import Generator, LeNet5, ModelSpec, build, rebuild, spec_of
from cudfkd.models.families.resnet import BasicBlock
from cudfkd.models.families.wide_resnet import PreActivationBlock
from cudfkd.models.generator import UpConv2d

SIZES = pytest.mark.parametrize("size", [16, 28, 32, 64])
CHANNELS = pytest.mark.parametrize("channels", [1, 3])
LENETS = ["lenet5", "lenet5-half"]
CONVNETS = ["convnet", "convnet-half"]
PAPER = ["resnet18", "resnet34", "vgg11-bn", "wrn-16-1", "wrn-16-2", "wrn-40-1", "wrn-40-2"]
SMALL = ["resnet18", "vgg11-bn", "wrn-16-1", "convnet-half"]  # one a family


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def equal_weights(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


# LeNet-5


@SIZES
@CHANNELS
@pytest.mark.parametrize("name", LENETS + CONVNETS)
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
        ("convnet", 32, 3, 10, 864 + 64 + 18_432 + 128 + 36_864 + 128 + 73_728 + 256 + 147_456 + 256 + 1_290),
        ("convnet-half", 32, 3, 10, 432 + 32 + 4_608 + 64 + 9_216 + 64 + 18_432 + 128 + 36_864 + 128 + 650),
        ("convnet-half", 8, 1, 10, 70_618 - 288),
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


# The paper's networks


@pytest.mark.parametrize("name", PAPER)
@pytest.mark.parametrize(("size", "channels", "classes"), [(28, 1, 10), (32, 3, 100), (64, 3, 200)])
def test_the_papers_networks_map_images_to_logits(name, size, channels, classes):
    network = build(name, classes, channels, size).eval()
    with torch.no_grad():
        logits = network(torch.rand(1, channels, size, size))
    assert logits.shape == (1, classes)
    assert logits.isfinite().all()


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("size", [9, 15, 16, 33, 63])
def test_the_papers_networks_take_odd_sizes(name, size):
    with torch.no_grad():
        assert build(name, 4, 1, size)(torch.rand(2, 1, size, size)).shape == (2, 4)


@pytest.mark.parametrize("name", PAPER)
def test_gradients_reach_every_parameter(name):
    network = build(name, 4, 3, 16)
    network(torch.rand(4, 3, 16, 16)).square().sum().backward()
    assert all(
        p.grad.isfinite().all() and p.grad.any() for n, p in network.named_parameters() if not dead_bias(n, name)
    )


def dead_bias(parameter: str, name: str) -> bool:
    """True for a bias before a BatchNorm: it has no effect, and its gradient is 0 up to rounding."""
    return name == "vgg11-bn" and parameter.startswith("stage") and parameter.endswith("bias")


# Convolutions count kernel area * inputs * outputs, BatchNorm 2 a channel, linear layers have a bias; C = 10 classes.
# ResNet: stem 27 * 64 + 128; a block of c -> d channels 9 c d + 9 d d + 4 d, and c d + 2 d for the projection of its
#   shortcut; 512 C + C. VGG-11: 9 c d + d + 2 d a convolution.
# WRN: stem 27 * 16; a block 9 c d + 9 d d + 2 c + 2 d, and c d for a projection; 2 * 64 k; 64 k C + C.
def resnet_count(blocks, classes):
    total, inputs = 27 * 64 + 128 + 513 * classes, 64
    for count, d in zip(blocks, (64, 128, 256, 512), strict=True):
        for c in [inputs] + [d] * (count - 1):
            total += 9 * c * d + 9 * d * d + 4 * d + (c * d + 2 * d if c != d else 0)
        inputs = d
    return total


def vgg_count(classes):
    widths = [3, 64, 128, 256, 256, 512, 512, 512, 512]
    return sum(9 * c * d + 3 * d for c, d in zip(widths, widths[1:], strict=False)) + 513 * classes


def wrn_count(depth, k, classes):
    total, inputs = 27 * 16 + 2 * 64 * k + (64 * k + 1) * classes, 16
    for d in (16 * k, 32 * k, 64 * k):
        for c in [inputs] + [d] * ((depth - 4) // 6 - 1):
            total += 9 * c * d + 9 * d * d + 2 * c + 2 * d + (c * d if c != d else 0)
        inputs = d
    return total


# Published, for 3 channels and 10 classes:
# ResNet-18 11,173,962 and VGG-11 9,231,114 in Table 7 of NeuralFuse (Sun et al., 2024); ResNet-34 21.28M in the model
#   zoo of DA2Lite.
# WRN-40-1 0.6M and WRN-40-2 2.2M in Zagoruyko & Komodakis (2016); WRN-16-1 0.2M and WRN-16-2 0.7M in their "Paying More
#   Attention to Attention" (2017).
@pytest.mark.parametrize(
    ("name", "ten", "hundred", "formula", "published", "digits"),
    [
        ("resnet18", 11_173_962, 11_220_132, lambda n: resnet_count((2, 2, 2, 2), n), 11_173_962, 0),
        ("resnet34", 21_282_122, 21_328_292, lambda n: resnet_count((3, 4, 6, 3), n), 21.28e6, -4),
        ("vgg11-bn", 9_231_114, 9_277_284, vgg_count, 9_231_114, 0),
        ("wrn-16-1", 175_066, 180_916, lambda n: wrn_count(16, 1, n), 0.2e6, -5),
        ("wrn-16-2", 691_674, 703_284, lambda n: wrn_count(16, 2, n), 0.7e6, -5),
        ("wrn-40-1", 563_930, 569_780, lambda n: wrn_count(40, 1, n), 0.6e6, -5),
        ("wrn-40-2", 2_243_546, 2_255_156, lambda n: wrn_count(40, 2, n), 2.2e6, -5),
    ],
)
def test_parameter_counts_of_the_papers_networks(name, ten, hundred, formula, published, digits):
    with torch.device("meta"):
        counts = [parameters(build(name, classes, 3, 32)) for classes in (10, 100)]
    assert counts == [ten, hundred] == [formula(10), formula(100)]
    assert round(ten, digits) == published


def some_statistics(network: nn.Module) -> nn.Module:
    """Puts the network in eval mode and makes its BatchNorm layers differ from the identity."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for tensor in (layer.weight.data, layer.running_var):
                tensor.uniform_(0.5, 1.5)
            for tensor in (layer.bias.data, layer.running_mean):
                tensor.normal_(0, 0.1)
    return network.eval()


def take_weights(twin: nn.Module, network: nn.Module) -> nn.Module:
    """Returns the twin with the network's weights. The tensors of both have the same order."""
    pairs = zip(twin.state_dict().items(), network.state_dict().values(), strict=True)
    twin.load_state_dict({name: value for (name, _), value in pairs})
    return twin.eval()


@pytest.mark.parametrize("name", ["resnet18", "resnet34"])
def test_resnet_is_torchvisions_with_another_stem(name):
    network = some_statistics(build(name, 10, 3, 32)).double()  # the two add up in other orders
    twin = getattr(torchvision.models, name)(num_classes=10).double()
    twin.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False, dtype=torch.float64)
    twin.maxpool = nn.Identity()
    take_weights(twin, network)
    x = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(network(x), twin(x))
        assert not torch.allclose(network(x), network(x.flip(3)), rtol=1e-3)  # the comparison can fail


@pytest.mark.parametrize(("size", "pools"), [(28, 3), (32, 3), (64, 4)])
def test_vgg_is_torchvisions_with_fewer_pools_and_an_average(size, pools):
    network = some_statistics(build("vgg11-bn", 10, 3, size))
    with torch.device("meta"):  # its linear layers are large
        features = torchvision.models.vgg11_bn().features
    features.to_empty(device="cpu")
    for index in [i for i, layer in enumerate(features) if isinstance(layer, nn.MaxPool2d)][pools:]:
        features[index] = nn.Identity()
    twin = take_weights(nn.Sequential(features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10)), network)
    x = torch.rand(2, 3, size, size)
    with torch.no_grad():
        torch.testing.assert_close(network(x), twin(x))
        at_last_stage = network.stage4(network.stage3(network.stage2(network.stage1(x))))
    assert at_last_stage.shape[2:] == (size // 2**pools, size // 2**pools)


def norm(layer: nn.BatchNorm2d, x: torch.Tensor) -> torch.Tensor:
    return batch_norm(x, layer.running_mean, layer.running_var, layer.weight, layer.bias)


@pytest.mark.parametrize(("inputs", "outputs", "stride"), [(4, 4, 1), (4, 6, 2), (4, 6, 1), (4, 4, 2)])
def test_a_basic_block_by_hand(inputs, outputs, stride):
    block = some_statistics(BasicBlock(inputs, outputs, stride))
    x = torch.randn(3, inputs, 6, 6)
    f = norm(block.norm2, conv2d(relu(norm(block.norm1, conv2d(x, block.conv1.weight, None, stride, 1))),
                                 block.conv2.weight, None, 1, 1))  # fmt: skip
    shortcut = x
    if (inputs, stride) != (outputs, 1):
        shortcut = norm(block.shortcut[1], conv2d(x, block.shortcut[0].weight, None, stride))
    torch.testing.assert_close(block(x), relu(f + shortcut))


@pytest.mark.parametrize(("inputs", "outputs", "stride"), [(4, 4, 1), (4, 6, 2), (4, 6, 1)])
def test_a_pre_activation_block_by_hand(inputs, outputs, stride):
    block = some_statistics(PreActivationBlock(inputs, outputs, stride))
    x = torch.randn(3, inputs, 6, 6)
    a = relu(norm(block.norm1, x))
    f = conv2d(relu(norm(block.norm2, conv2d(a, block.conv1.weight, None, stride, 1))), block.conv2.weight, None, 1, 1)
    shortcut = x if inputs == outputs else conv2d(a, block.projection.weight, None, stride)
    torch.testing.assert_close(block(x), f + shortcut)


def test_a_wide_resnet_by_hand():
    network = some_statistics(build("wrn-16-2", 10, 3, 32))
    x = torch.rand(2, 3, 32, 32)
    y = conv2d(x, network.stem.weight, None, 1, 1)
    for stage, stride in ((network.stage1, 1), (network.stage2, 2), (network.stage3, 2)):
        for index, block in enumerate(stage):
            s = stride if index == 0 else 1
            a = relu(norm(block.norm1, y))
            y = conv2d(a, block.projection.weight, None, s) if index == 0 else y
            a = relu(norm(block.norm2, conv2d(a, block.conv1.weight, None, s, 1)))
            y = y + conv2d(a, block.conv2.weight, None, 1, 1)
    pooled = relu(norm(network.norm, y)).flatten(2).mean(2)
    torch.testing.assert_close(network(x), linear(pooled, network.classifier.weight, network.classifier.bias))


@pytest.mark.parametrize(
    ("name", "changes"), [("wrn-16-1", [2, 3]), ("wrn-40-1", [2, 3]), ("wrn-16-2", [1, 2, 3]), ("wrn-40-2", [1, 2, 3])]
)
def test_only_the_first_block_of_a_widening_stage_has_no_identity_shortcut(name, changes):
    with torch.device("meta"):
        network = build(name)
    for number in (1, 2, 3):
        projected = [block.projection is not None for block in getattr(network, f"stage{number}")]
        assert projected == [number in changes] + [False] * (len(projected) - 1)
        assert len(projected) == {"16": 2, "40": 6}[name.split("-")[1]]


def test_a_block_whose_residual_is_0_is_the_identity():
    x = torch.randn(2, 4, 6, 6)
    wide, basic = PreActivationBlock(4, 4).eval(), BasicBlock(4, 4).eval()
    for layer in (wide.conv2.weight, basic.norm2.weight, basic.norm2.bias):
        nn.init.zeros_(layer)
    assert torch.equal(wide(x), x)
    assert torch.equal(basic(x), relu(x))


# Layers that methods may watch: shapes (channels, size) of the outputs at 32 pixels
@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("resnet18", dict(stem=[64, 32], stage1=[64, 32], stage2=[128, 16], stage3=[256, 8], stage4=[512, 4])),
        ("vgg11-bn", dict(stage1=[64, 16], stage2=[128, 8], stage3=[256, 4], stage4=[512, 4], stage5=[512, 4])),
        ("wrn-16-1", dict(stem=[16, 32], stage1=[16, 32], stage2=[32, 16], stage3=[64, 8], norm=[64, 8])),
        ("wrn-40-2", dict(stem=[16, 32], stage1=[32, 32], stage2=[64, 16], stage3=[128, 8], norm=[128, 8])),
    ],
)
def test_stages_can_be_watched_by_name(name, shapes):
    network, seen = build(name, 10, 3, 32).eval(), {}
    for stage in shapes:
        network.get_submodule(stage).register_forward_hook(lambda m, i, o, stage=stage: seen.update({stage: o}))
    kept = {}
    network.classifier.register_forward_pre_hook(lambda m, i: kept.update(pooled=i[0]))
    with torch.no_grad():
        network(torch.rand(1, 3, 32, 32))
    assert {stage: list(o.shape[1:3]) for stage, o in seen.items()} == shapes
    last = seen[list(shapes)[-1]]
    pooled = (relu(last) if name.startswith("wrn") else last).mean((2, 3))
    torch.testing.assert_close(kept["pooled"], pooled)
    assert [n for n, _ in network.named_children()] == [*shapes, "classifier"]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("teacher", "student"), [("wrn-40-2", "wrn-16-1"), ("vgg11-bn", "resnet18")])
def test_the_papers_pairs_are_distilled_and_loaded(teacher, student, precision, tmp_path):
    networks = [build(name, 10, 3, 32) for name in (teacher, student)]
    for layer in networks[0].modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0  # one batch gives all its statistics, without which its logits are out of scale
    networks[0](torch.rand(16, 3, 32, 32))
    options = {"latent_dim": 8, "generator_width": 2}
    short = {"epochs": 1, "steps_per_epoch": 2, "batch_size": 4, "options": options, "precision": precision}
    config = cudfkd.DistillConfig(image_size=32, channels=3, **short)
    run = cudfkd.distill(*networks, config, run_dir=tmp_path / "run")
    assert run.rows[0]["bn_term"] > 0
    assert equal_weights(cudfkd.load_run(tmp_path / "run").student, run.student)
    assert not equal_weights(run.student, build(student, 10, 3, 32))


@pytest.mark.parametrize("name", SMALL)
def test_convolutions_start_as_kaiming_with_fan_out(name):
    for layer in build(name, 10, 3, 32).modules():
        if isinstance(layer, nn.Conv2d):
            std = sqrt(2 / (layer.kernel_size[0] ** 2 * layer.out_channels))
            assert layer.weight.std().item() == pytest.approx(std, rel=5 / sqrt(2 * layer.weight.numel()))
        if isinstance(layer, nn.BatchNorm2d):
            assert (layer.weight == 1).all()
        if getattr(layer, "bias", None) is not None:
            assert not layer.bias.any()


# Seeds


@pytest.mark.parametrize("name", LENETS + SMALL)
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
    """torch.manual_seed seeds all devices, but a fork of the CPU's generator restores only the CPU's generator."""
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


@pytest.mark.parametrize("name", LENETS + SMALL)
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
    assert set(LENETS + PAPER + CONVNETS) <= set(models.names())
    assert models.names() == sorted(models.names())
    for name in models.names():
        assert models.check(name) == name
        assert spec_of(build(name, image_size=32))["name"] == name


@pytest.mark.parametrize("function", [models.check, build])
@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("lenet-5", "lenet5"),
        ("ResNet-18", "resnet18"),
        ("vgg11", "vgg11-bn"),
        ("wrn_16_1", "wrn-16-1"),
        ("wrn40_2", "wrn-40-2"),
    ],
)
def test_unknown_name_suggests_the_nearest(function, wrong, right):
    with pytest.raises(ConfigError) as error:
        function(wrong)
    line = str(error.value)
    assert line.startswith(f"unknown model '{wrong}': did you mean '{right}'? known: ")
    assert all(name in line for name in models.names())
    assert "\n" not in line


@pytest.mark.parametrize(("name", "least"), [*((n, 16) for n in LENETS), *((n, 8) for n in PAPER + CONVNETS)])
def test_images_that_are_too_small_are_refused(name, least):
    for size in (least - 1, 4, 0, -4):
        line = rf"^image_size = {size} is not allowed: {name} needs {least} pixels or more$"
        with pytest.raises(ConfigError, match=line):
            build(name, image_size=size)
    assert build(name, image_size=least)(torch.rand(2, 1, least, least)).shape == (2, 10)


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
    doublings = [m for m in Generator(8, 1, size, 2).modules() if isinstance(m, UpConv2d)]
    assert len(doublings) == depth


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_upconv_is_upsampling_and_a_convolution_with_their_gradients(layout):
    layer = UpConv2d(5, 3).double().to(memory_format=layout)
    x = torch.randn(2, 5, 6, 6, dtype=torch.float64, requires_grad=True)
    expected = conv2d(interpolate(x, scale_factor=2), layer.weight, padding=1)
    torch.testing.assert_close(layer(x), expected)
    weights = torch.randn_like(expected)
    gradients = (torch.autograd.grad((y * weights).sum(), (x, layer.weight)) for y in (layer(x), expected))
    for gradient, expected_gradient in zip(*gradients, strict=True):
        torch.testing.assert_close(gradient, expected_gradient)


@pytest.mark.parametrize("name", models.names())
def test_convolutions_are_laid_out_channels_last(name):
    wide = [m.weight for m in build(name, 10, 3, 32).modules() if isinstance(m, nn.Conv2d) and m.kernel_size != (1, 1)]
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in wide)


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
