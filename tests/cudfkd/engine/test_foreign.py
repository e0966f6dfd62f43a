"""Foreign networks as teachers and students: which ones a run accepts, and that it leaves the teacher unchanged."""

from functools import partial

import pytest
import torch
import torchvision
from torch import nn
from torch.utils.data import TensorDataset

import cudfkd
from cudfkd import ConfigError, DistillConfig, TrainingError
from cudfkd.callbacks import Callback
from tests.cudfkd.engine.test_runs import StopAfter


def config(**changes) -> DistillConfig:
    options = {"latent_dim": 8, "generator_width": 2} | changes.pop("options", {})
    base = {"epochs": 1, "steps_per_epoch": 2, "round_steps": 1, "batch_size": 4, "image_size": 16, "channels": 3}
    return DistillConfig(**base | changes, options=options)


class Flat(nn.Module):
    """A network as many write it: `view` instead of `flatten`, an in-place activation, dropout."""

    def __init__(self, channels: int = 3, classes: int = 4, size: int = 16, norm=nn.BatchNorm2d) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 6, 3, stride=2, padding=1)
        self.norm = norm(6)
        self.relu = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(0.3)
        self.fc = nn.Linear(6 * (size // 2) ** 2, classes)

    def forward(self, x):
        x = self.relu(self.norm(self.conv(x)))
        return self.fc(self.drop(x.view(x.size(0), -1)))


class ScaleInside(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.full((1, 3, 1, 1), 0.5))

    def forward(self, x):
        return (x - self.mean) / 0.25


def small_student(channels: int, classes: int) -> nn.Module:
    convolution = nn.Conv2d(channels, 6, 3, stride=2, padding=1)
    return nn.Sequential(
        convolution, nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, classes)
    )


def vit(classes: int = 4) -> nn.Module:
    return torchvision.models.VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=classes)


def group_norm(channels: int) -> nn.Module:
    return nn.GroupNorm(2, channels)


def instance_norm(channels: int) -> nn.Module:
    return nn.InstanceNorm2d(channels, affine=True, track_running_stats=True)


models = torchvision.models
WITH_BATCHNORM = [
    pytest.param(partial(models.resnet18, num_classes=4), 3, 64, 4, id="resnet18-64px"),
    pytest.param(partial(models.resnet18, num_classes=100), 3, 32, 100, id="resnet18-100-classes"),
    pytest.param(partial(models.mobilenet_v2, num_classes=4), 3, 32, 4, id="mobilenet_v2"),
    pytest.param(partial(models.mobilenet_v3_small, num_classes=100), 3, 32, 100, id="mobilenet_v3-100-classes"),
    pytest.param(partial(models.shufflenet_v2_x0_5, num_classes=4), 3, 64, 4, id="shufflenet-64px"),
    pytest.param(Flat, 3, 16, 4, id="view-and-dropout"),
    pytest.param(partial(Flat, channels=1, classes=100), 1, 16, 100, id="one-channel-100-classes"),
    pytest.param(lambda: nn.Sequential(ScaleInside(), nn.Sequential(Flat())), 3, 16, 4, id="nested-sequential"),
]
WITHOUT = [
    pytest.param(partial(models.resnet18, num_classes=4, norm_layer=group_norm), 3, 32, 4, id="resnet18-group-norm"),
    pytest.param(partial(Flat, norm=instance_norm), 3, 16, 4, id="instance-norm"),
    pytest.param(partial(Flat, 1, 4, 64, group_norm), 1, 64, 4, id="group-norm-one-channel-64px"),
    pytest.param(partial(Flat, norm=nn.Identity), 3, 16, 4, id="no-normalisation"),
    pytest.param(vit, 3, 32, 4, id="vit"),
    pytest.param(partial(vit, 100), 3, 32, 100, id="vit-100-classes"),
]


def hooks(module: nn.Module) -> dict[str, list]:
    return {name: list(value.items()) for name, value in vars(module).items() if "hooks" in name and value}


def portrait(network: nn.Module) -> dict[str, object]:
    """Every property of a network that a user can observe. A tensor is a tuple (object, layout, device, copy)."""

    def tensor(t):
        return None if t is None else (id(t), t.stride(), t.device, t.requires_grad, t.detach().clone())

    named = {f"parameter {n}": (tensor(p), tensor(p.grad)) for n, p in network.named_parameters()}
    named |= {f"buffer {n}": tensor(b) for n, b in network.named_buffers()}
    return named | {f"module {n}": (id(m), m.training, hooks(m), sorted(vars(m))) for n, m in network.named_modules()}


def equal(a: object, b: object) -> bool:
    if isinstance(a, tuple | list):
        return isinstance(b, tuple | list) and len(a) == len(b) and all(map(equal, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor) else a == b


def changed(before: dict[str, object], after: dict[str, object]) -> list[str]:
    return [name for name in before | after if not equal(before.get(name), after.get(name))]


def lived_in(teacher: nn.Module) -> nn.Module:
    """The teacher after a user's training: with statistics, modes, frozen parts, gradients and hooks."""
    for layer in teacher.modules():
        for buffer in layer.buffers(recurse=False):
            if buffer.is_floating_point():
                buffer.uniform_(0.5, 1.5)
            else:
                buffer.fill_(41)
    parameters = list(teacher.parameters())
    for parameter in parameters[::2]:
        parameter.requires_grad_(False)
    parameters[1].grad = torch.randn_like(parameters[1])
    teacher.train()
    next(teacher.children()).eval()
    deep = list(teacher.modules())[-1]
    deep.register_forward_pre_hook(lambda module, inputs: None)
    deep.register_forward_hook(lambda module, inputs, output: None)
    deep.register_full_backward_hook(lambda module, wanted, given: None)
    deep.register_state_dict_pre_hook(lambda module, prefix, keep: None)
    return teacher


# Networks that are accepted


def distills(make, channels, size, classes, bn):
    teacher, student = lived_in(make()), small_student(channels, classes)
    before, first = portrait(teacher), [p.detach().clone() for p in student.parameters()]
    run = cudfkd.distill(teacher, student, config(channels=channels, image_size=size, options={"bn": bn}))
    assert changed(before, portrait(teacher)) == []
    assert run.student is student
    assert all(not torch.equal(p, q) for p, q in zip(student.parameters(), first, strict=True) if p.ndim > 1)
    assert all(p.isfinite().all() and p.requires_grad for p in student.parameters())
    assert not any(m.training for m in student.modules())
    assert run.rows[0]["loss"] > 0
    return run.rows[0]


@pytest.mark.parametrize(("make", "channels", "size", "classes"), WITH_BATCHNORM)
def test_a_teacher_with_batchnorm(make, channels, size, classes):
    assert distills(make, channels, size, classes, bn=1.0)["bn_term"] > 0


@pytest.mark.parametrize(("make", "channels", "size", "classes"), WITHOUT)
def test_a_teacher_without_batchnorm(make, channels, size, classes):
    assert "bn_term" not in distills(make, channels, size, classes, bn=0.0)


@pytest.mark.parametrize(("make", "channels", "size", "classes"), WITHOUT)
def test_a_teacher_without_batchnorm_is_refused_by_the_term_that_needs_it(make, channels, size, classes, tmp_path):
    teacher, c = lived_in(make()), config(channels=channels, image_size=size, options={"bn": 1.0})
    before = portrait(teacher)
    with pytest.raises(ConfigError, match=r"^the teacher has no BatchNorm layer .* \(bn=0\)") as error:
        cudfkd.distill(teacher, small_student(channels, classes), c, run_dir=tmp_path / "run")
    assert "\n" not in str(error.value)
    assert changed(before, portrait(teacher)) == []
    assert not (tmp_path / "run").exists()


def test_batchnorm_that_the_forward_pass_leaves_out_does_not_count():
    teacher = Flat()
    teacher.spare, teacher.norm = teacher.norm, nn.Identity()
    with pytest.raises(ConfigError, match=r"^the teacher's forward pass uses none of its BatchNorm layers.* \(bn=0\)"):
        cudfkd.distill(teacher, small_student(3, 4), config())
    cudfkd.distill(teacher, small_student(3, 4), config(options={"bn": 0.0}))


@pytest.mark.parametrize(
    "norm", [partial(nn.BatchNorm2d, track_running_stats=False), partial(nn.InstanceNorm2d, track_running_stats=True)]
)
def test_only_batchnorm_with_running_statistics_counts(norm):
    with pytest.raises(ConfigError, match="no BatchNorm layer with running statistics"):
        cudfkd.distill(Flat(norm=norm), small_student(3, 4), config())


@pytest.mark.parametrize("teacher", [Flat().double(), Flat().bfloat16()])
def test_a_teacher_of_another_precision_is_refused(teacher):
    with pytest.raises(ConfigError, match=r"^the teacher does not take images of shape \(3, 16, 16\): .*type"):
        cudfkd.distill(teacher, small_student(3, 4), config())


def test_a_student_as_many_write_them():
    student = nn.Sequential(Flat())
    run = cudfkd.distill(models.resnet18(num_classes=4), student, config(epochs=2))
    assert run.history["loss"].notna().all()
    assert student[0].norm.num_batches_tracked == 4


def test_frozen_parts_of_a_student_stay_as_they_are():
    student = Flat()
    student.conv.requires_grad_(False)
    frozen, free = student.conv.weight.clone(), student.fc.weight.clone()
    cudfkd.distill(Flat(), student, config())
    assert torch.equal(student.conv.weight, frozen)
    assert not student.conv.weight.requires_grad
    assert not torch.equal(student.fc.weight, free)


def test_a_compiled_teacher_is_refused():
    for attribute in ("_orig_mod", "_compiled_call_impl"):  # what torch.compile(module) and module.compile() leave
        teacher = Flat()
        setattr(teacher.conv, attribute, teacher.conv.forward)
        with pytest.raises(
            ConfigError, match="^the teacher is compiled, and cannot be looked into: pass the module that"
        ):
            cudfkd.distill(teacher, Flat(), config())


# Use of the teacher, and its state after a run


def test_the_teacher_works_frozen_and_in_eval_mode_on_plain_images():
    seen = []

    def note(module, inputs):
        frozen = not any(p.requires_grad for p in teacher.parameters())
        still = not any(m.training for m in teacher.modules())
        seen.append((frozen, still, inputs[0].is_contiguous(), inputs[0].requires_grad))

    teacher = lived_in(Flat())
    teacher.register_forward_pre_hook(note)
    cudfkd.distill(teacher, Flat(), config())
    learning, still = (True, True, True, True), (True, True, True, False)
    tried = [learning, still, still]  # the gradient of noise, the same logits again, the BatchNorm layers
    assert seen == [*tried, *[learning, still] * 2]


def test_the_student_learns_from_the_teachers_eval_mode():
    """Dropout is off and running statistics are on: the losses equal the losses with the teacher in eval mode."""

    class Check(Callback):
        def before_student_step(self, ctx):
            student.eval()  # dropout 0 and no BatchNorm: modes make no difference to it

        def after_student_step(self, ctx, batch):
            self.images, self.losses = batch.images, batch.losses

    check, teacher = Check(), lived_in(Flat())
    student = nn.Sequential(nn.Flatten(), nn.Linear(3 * 256, 4))
    c = config(steps_per_epoch=1, lr=1e-9)
    cudfkd.distill(teacher, student, c, callbacks=[check])
    with torch.no_grad():
        for mode, agrees in ((False, True), (True, False)):
            expected = (teacher.train(mode)(check.images.contiguous()) - student(check.images)).abs().mean(1)
            assert torch.allclose(check.losses, expected, rtol=1e-4, atol=1e-5) == agrees


MOMENTS = [name for name in vars(Callback) if name.startswith(("before_", "after_"))]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("moment", MOMENTS)
def test_the_teacher_comes_back_when_a_callback_raises(moment, error):
    class Raise(Callback):
        pass

    def stop(self, ctx, *rest):
        raise error("stop")

    setattr(Raise, moment, stop)
    teacher = lived_in(Flat())
    before = portrait(teacher)
    with pytest.raises(error, match="stop"):
        cudfkd.distill(teacher, Flat(), config(), callbacks=[Raise()])
    assert changed(before, portrait(teacher)) == []


@pytest.mark.parametrize("call", [1, 2, 3, 4])
def test_the_teacher_comes_back_when_it_raises_itself(call):
    class Failing(Flat):
        def forward(self, x):
            if self.calls.pop() == call:
                raise OSError("failed")
            return super().forward(x)

    teacher = Failing()
    teacher.calls = [5, 4, 3, 2, 1]
    lived_in(teacher)
    before = portrait(teacher)
    with pytest.raises((OSError, ConfigError), match="failed"):  # the first call is a probe, whose errors get a line
        cudfkd.distill(teacher, Flat(), config())
    assert changed(before, portrait(teacher)) == []


def test_the_teacher_comes_back_when_a_loss_is_not_finite(tmp_path):
    class Spoil(Callback):
        def before_student_step(self, ctx):
            if ctx.epoch == 1:
                ctx.student.fc.weight.data.fill_(float("nan"))

    teacher = lived_in(Flat())
    before = portrait(teacher)
    with pytest.raises(TrainingError, match="^not finite after .* objective; epoch 1 was the last good one"):
        cudfkd.distill(teacher, Flat(), config(epochs=2), run_dir=tmp_path / "run", callbacks=[Spoil()])
    assert changed(before, portrait(teacher)) == []
    kept = cudfkd.load_run(tmp_path / "run", student=Flat()).student
    assert all(p.isfinite().all() for p in kept.parameters())


@pytest.mark.parametrize(
    "touch",
    [
        lambda t: t.norm.running_mean.add_(1e-6),
        lambda t: t.norm.num_batches_tracked.add_(1),
        lambda t: t.conv.train(not t.conv.training),
        lambda t: t.fc.weight.requires_grad_(not t.fc.weight.requires_grad),
        lambda t: t.fc.weight.data.mul_(1.000001),
        lambda t: setattr(t.fc, "weight", nn.Parameter(t.fc.weight.detach().clone())),
        lambda t: t.norm.register_forward_pre_hook(lambda module, inputs: None),
        lambda t: t.relu.register_forward_hook(lambda module, inputs, output: None),
        lambda t: next(iter(t.parameters())).__setattr__("grad", torch.zeros(6, 3, 3, 3)),
        lambda t: setattr(t, "extra", 1),
    ],
)
def test_the_portrait_shows_every_change(touch):
    teacher = lived_in(Flat())
    before = portrait(teacher)
    assert changed(before, portrait(teacher)) == []
    touch(teacher)
    assert len(changed(before, portrait(teacher))) == 1


# Runs of foreign networks


def test_a_foreign_run_can_be_resumed_and_loaded(tmp_path):
    rng = torch.Generator().manual_seed(3)
    data = TensorDataset(torch.rand(8, 3, 16, 16, generator=rng), torch.arange(8) % 4)
    teacher, c = models.mobilenet_v3_small(num_classes=4), config(epochs=3)
    torch.manual_seed(5)
    unbroken = cudfkd.distill(teacher, Flat(), c, evaluate_on=data)
    torch.manual_seed(5)
    with pytest.raises(KeyboardInterrupt):
        cudfkd.distill(teacher, Flat(), c, evaluate_on=data, run_dir=tmp_path / "run", callbacks=[StopAfter(2)])
    run = cudfkd.distill(teacher, Flat(), c, evaluate_on=data, run_dir=tmp_path / "run", resume=True)
    loaded = cudfkd.load_run(tmp_path / "run", student=Flat())
    for student in (run.student, loaded.student):
        expected = unbroken.student.state_dict()
        assert all(torch.equal(value, expected[name]) for name, value in student.state_dict().items())
    assert not loaded.student.training
    assert loaded.history["accuracy"].tolist() == unbroken.history["accuracy"].tolist()
    assert loaded.summary["accuracy"] == unbroken.summary["accuracy"]


def test_a_foreign_run_is_loaded_into_a_network_of_its_kind_only(tmp_path):
    cudfkd.distill(Flat(), Flat(), config(), run_dir=tmp_path / "run")
    with pytest.raises(ConfigError, match="is not a network of ours: pass it in with student="):
        cudfkd.load_run(tmp_path / "run")
    with pytest.raises(ConfigError, match="are not those of the given student"):
        cudfkd.load_run(tmp_path / "run", student=Flat(classes=5))


# Networks that are refused: one line each


class Answers(Flat):
    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, x):
        return self.answer(super().forward(x))


def fail(logits):
    raise ValueError("no\nsuch thing")


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (lambda logits: {"logits": logits}, "returns a dict: it must return logits alone"),
        (lambda logits: (logits, logits), "returns a tuple: it must return logits alone"),
        (
            lambda logits: logits.argmax(1),
            r"returns a tensor of torch.int64 of shape \(2,\) for 2 images: it must be floats of shape \(batch, cl",
        ),
        (fail, r"does not take images of shape \(3, 16, 16\): ValueError: no such thing$"),
    ],
)
@pytest.mark.parametrize("role", ["teacher", "student"])
def test_a_network_that_gives_no_logits_is_refused(role, answer, line, tmp_path):
    networks = {"teacher": Flat(), "student": Flat()} | {role: lived_in(Answers(answer))}
    before = portrait(networks[role])
    with pytest.raises(ConfigError, match=f"^the {role} {line}") as error:
        cudfkd.distill(**networks, config=config(), run_dir=tmp_path / "run")
    assert "\n" not in str(error.value)
    assert changed(before, portrait(networks[role])) == []
    assert not (tmp_path / "run").exists()


def test_images_of_a_size_that_a_vit_was_not_made_for_are_refused():
    with pytest.raises(ConfigError, match=r"^the teacher does not take images of shape \(3, 64, 64\): .*Wrong image"):
        cudfkd.distill(vit(), small_student(3, 4), config(image_size=64, options={"bn": 0.0}))


def test_teacher_and_student_must_not_share_parameters():
    teacher, student = Flat(), Flat()
    student.conv = teacher.conv
    for same, count in ((student, 2), (teacher, 6)):
        with pytest.raises(ConfigError, match=f"^teacher and student share {count} parameters: pass copy.deepcopy"):
            cudfkd.distill(teacher, same, config())


def test_a_student_that_cannot_be_trained_is_refused():
    with pytest.raises(ConfigError, match=r"^no parameter of the student can be trained: call student.requires_grad_"):
        cudfkd.distill(Flat(), Flat().requires_grad_(False), config())


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 3, 3, padding=1)
        self.second = self.first
        self.fc = nn.Linear(3, 4)

    def forward(self, x):
        return self.fc(self.second(self.first(x)).mean((2, 3)))


def test_a_student_with_tied_weights_is_saved_resumed_and_loaded(tmp_path):
    torch.manual_seed(5)
    unbroken, teacher = Tied(), Flat()
    first = {name: value.clone() for name, value in unbroken.state_dict().items()}
    cudfkd.distill(teacher, unbroken, config(epochs=2))
    student = Tied()
    student.load_state_dict(first)
    with pytest.raises(KeyboardInterrupt):
        cudfkd.distill(teacher, student, config(epochs=2), run_dir=tmp_path / "run", callbacks=[StopAfter(1)])
    cudfkd.distill(teacher, Tied(), config(epochs=2), run_dir=tmp_path / "run", resume=True)
    loaded = cudfkd.load_run(tmp_path / "run", student=Tied()).student
    assert all(torch.equal(value, unbroken.state_dict()[name]) for name, value in loaded.state_dict().items())
    assert loaded.second is loaded.first


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_traced_teacher_comes_back_too():
    teacher = torch.jit.trace(Flat().eval(), torch.rand(4, 3, 16, 16), check_trace=False).train()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    cudfkd.distill(teacher, Flat(), config(options={"bn": 0.0}))
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert all(m.training for m in teacher.modules())
    assert all(p.requires_grad for p in teacher.parameters())
