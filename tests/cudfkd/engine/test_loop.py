"""The engine against a plain loop, and its promises: which objects it leaves unchanged, what it logs and refuses."""

import copy
from math import cos, pi

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, kl_div, log_softmax
from torch.utils.data import TensorDataset

import cudfkd
from cudfkd import ConfigError, Curriculum, DistillConfig, models
from cudfkd.callbacks import Callback
from tests.reads import Reads

SHAPE = {"image_size": 16, "channels": 1}
TINY = {"loss": "l1", "latent_dim": 8, "generator_width": 2, "adv_begin": 0.0, "adv_finish": 0.5}


def config(**changes) -> DistillConfig:
    options = TINY | changes.pop("options", {})
    base = {"epochs": 2, "steps_per_epoch": 4, "round_steps": 2, "batch_size": 8, "options": options, **SHAPE}
    return DistillConfig(**base | changes)


def networks() -> tuple[nn.Module, nn.Module]:
    """A teacher with BatchNorm statistics that differ from their initial values, and a student."""
    teacher = models.build("lenet5", image_size=16, seed=1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        teacher.train()(torch.rand(32, 1, 16, 16))
    return teacher.eval(), models.build("lenet5-half", image_size=16, seed=2)


def held_out(n: int = 12, size: int = 16, channels: int = 1) -> TensorDataset:
    rng = torch.Generator().manual_seed(3)
    return TensorDataset(torch.rand(n, channels, size, size, generator=rng), torch.arange(n) % 10)


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


# The engine against a plain loop


def plain_loop(teacher: nn.Module, student: nn.Module, c: DistillConfig) -> nn.Module:
    """A second implementation of CuDFKD without the library: log weights per sample, L1 on logits, masked adversary."""
    o, rng = c.options, torch.Generator().manual_seed(c.seed)
    torch.manual_seed(c.seed)
    generator = models.Generator(o.latent_dim, 1, 16, o.generator_width)
    adam = torch.optim.Adam(generator.parameters(), lr=o.generator_lr, betas=(0.9, 0.99))
    sgd = torch.optim.SGD(student.parameters(), lr=c.lr, momentum=c.momentum, weight_decay=c.weight_decay)
    total, adv, k = c.epochs * c.steps_per_epoch, o.adv_start, 0
    layers = [m for m in teacher.modules() if isinstance(m, nn.BatchNorm2d)]
    for epoch in range(c.epochs):
        adv = o.adv_end if epoch >= int(c.epochs * o.adv_finish) else o.adv_start  # too short for a step
        for _ in range(c.steps_per_epoch // c.round_steps):
            generator.train()
            student.eval()
            seen = []
            hooks = [m.register_forward_hook(lambda m, i, _, seen=seen: seen.append((m, i[0]))) for m in layers]
            x = generator(torch.randn(c.batch_size, o.latent_dim, generator=rng))
            t = teacher(x)
            for hook in hooks:
                hook.remove()
            mean = t.softmax(1).mean(0)
            loss = -o.class_entropy * -(mean * mean.log()).sum() + o.one_hot * cross_entropy(t, t.argmax(1))
            for m, i in seen:
                variance = i.var(dim=(0, 2, 3), unbiased=False)
                loss = loss + o.bn * ((variance - m.running_var).norm() + (i.mean((0, 2, 3)) - m.running_mean).norm())
            if adv > 0:
                s, T = student(x), o.adv_temperature
                kl = kl_div(log_softmax(s / T, 1), log_softmax(t / T, 1), log_target=True, reduction="none").sum(1)
                loss = loss - adv * T**2 * (kl * (t.argmax(1) == s.argmax(1))).mean()
            adam.param_groups[0]["lr"] = o.generator_lr / 2 * (1 + cos(pi * k / total))
            adam.zero_grad()
            loss.backward()
            adam.step()
            generator.eval()
            student.train()
            for _ in range(c.round_steps):
                sgd.param_groups[0]["lr"] = c.lr / 2 * (1 + cos(pi * k / total))
                with torch.no_grad():
                    x = generator(torch.randn(c.batch_size, o.latent_dim, generator=rng))
                    t = teacher(x)
                losses = (t - student(x)).abs().mean(1)
                lam = c.curriculum.lam_start + (c.curriculum.lam_end - c.curriculum.lam_start) * k / total
                v = (1 + torch.exp(torch.tensor(-lam))) / (1 + torch.exp(losses.detach() - lam))
                sgd.zero_grad()
                ((v * losses).sum() / c.batch_size).backward()
                sgd.step()
                k += 1
    return student


@pytest.fixture
def _float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("_float64")
@pytest.mark.parametrize("adversary", [0.0, 2.0])
def test_the_engine_is_the_plain_loop(adversary):
    c = config(epochs=3, options={"adv_start": adversary, "adv_end": 2 * adversary})
    teacher, student = networks()
    expected = plain_loop(teacher, copy.deepcopy(student), c)
    run = cudfkd.distill(teacher, student, c)
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(run.student.state_dict()[name], value, rtol=1e-9, atol=1e-11, msg=name)


@pytest.mark.usefixtures("_float64")
@pytest.mark.parametrize("change", [{"seed": 1}, {"curriculum": Curriculum(granularity="batch")}, {"lr": 0.1001}])
def test_the_comparison_with_the_plain_loop_can_fail(change):
    teacher, student = networks()
    expected = plain_loop(teacher, copy.deepcopy(student), config())
    run = cudfkd.distill(teacher, student, config(**change))
    name = "classifier.2.weight"
    assert not torch.allclose(run.student.state_dict()[name], expected.state_dict()[name], rtol=1e-9, atol=1e-11)


# Objects that the engine borrows, and the source of its random numbers


def test_the_teacher_is_given_back_as_it_came():
    teacher, student = networks()
    teacher.train()
    teacher.features[1].eval()
    teacher.classifier[0].weight.requires_grad_(False)
    before = copy.deepcopy(teacher)
    cudfkd.distill(teacher, student, config(), evaluate_on=held_out())
    assert same(teacher, before)
    assert [m.training for m in teacher.modules()] == [m.training for m in before.modules()]
    assert [p.requires_grad for p in teacher.parameters()] == [p.requires_grad for p in before.parameters()]
    assert all(p.grad is None for p in teacher.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in teacher.modules())


def test_the_teacher_is_given_back_after_an_error_too():
    teacher, student = networks()
    teacher.train()

    class Breaks(Callback):
        def after_synthesis(self, ctx):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cudfkd.distill(teacher, student, config(), callbacks=[Breaks()])
    assert teacher.training
    assert all(p.requires_grad for p in teacher.parameters())


def test_the_student_is_trained_in_place_and_left_in_eval_mode():
    teacher, student = networks()
    before = copy.deepcopy(student)
    run = cudfkd.distill(teacher, student, config())
    assert run.student is student
    assert not same(student, before)
    assert not student.training


def test_equal_seeds_give_equal_students_whatever_the_global_generator():
    results = []
    for seed, noise in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(noise)
        results.append(cudfkd.distill(*networks(), config(seed=seed)).student)
    assert same(results[0], results[1])
    assert not same(results[0], results[2])


def test_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    cudfkd.distill(*networks(), config(), evaluate_on=held_out())
    assert torch.equal(torch.get_rng_state(), before)


def test_evaluation_changes_nothing():
    with_images = cudfkd.distill(*networks(), config(), evaluate_on=held_out())
    without = cudfkd.distill(*networks(), config())
    assert same(with_images.student, without.student)
    assert "accuracy" in with_images.history
    assert without.history["accuracy"].isna().all()


def test_bfloat16_trains_to_finite_numbers():
    run = cudfkd.distill(*networks(), config(precision="bfloat16"))
    reference = cudfkd.distill(*networks(), config())
    assert all(p.isfinite().all() and p.dtype == torch.float32 for p in run.student.parameters())
    assert run.rows[0]["loss"] == pytest.approx(reference.rows[0]["loss"], rel=0.1)
    assert run.rows[0]["loss"] != reference.rows[0]["loss"]


def test_colour_images_and_another_number_of_classes():
    shape = {"num_classes": 4, "channels": 3, "image_size": 20}
    teacher, student = models.build("lenet5", **shape), models.build("lenet5-half", **shape)
    data = TensorDataset(torch.rand(6, 3, 20, 20), torch.arange(6) % 4)
    c = config(image_size=None, channels=None, mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2))
    run = cudfkd.distill(teacher, student, c, evaluate_on=data)
    assert run.generator(torch.randn(2, 8)).shape == (2, 3, 20, 20)


def test_a_cpu_run_leaves_the_seeds_of_gpus_alone(monkeypatch):
    seeded, pair = [], networks()
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    cudfkd.distill(*pair, config(seed=77))
    assert seeded == []
    torch.manual_seed(5)  # the control
    assert seeded == [5]


@pytest.mark.parametrize("resume", [False, True])
def test_all_networks_of_a_run_are_left_in_eval_mode(resume, tmp_path):
    for method in ("cudfkd", "fast-dfkd"):
        options = {"synthesis_batch": 8, "warmup": 0, "generator_width": 2} if method == "fast-dfkd" else TINY
        c = DistillConfig(**config().model_dump() | {"method": method, "options": options})
        run = cudfkd.distill(*networks(), c, run_dir=tmp_path / method)
        if resume:
            run = cudfkd.distill(*networks(), c, run_dir=tmp_path / method, resume=True)
        assert not any(module.training for net in (run.student, run.generator) for module in net.modules())


# Callbacks


class Diary(Callback):
    def __init__(self):
        self.moments, self.lams, self.batches, self.rows = [], [], [], []

    def __getattribute__(self, name):
        if name.startswith(("before_", "after_")):
            return lambda ctx, *rest: object.__getattribute__(self, "note")(name, ctx, *rest)
        return object.__getattribute__(self, name)

    def note(self, name, ctx, *rest):
        self.moments.append(name)
        if name in ("before_lambda_update", "after_lambda_update"):
            self.lams.append(ctx.lam)
        if name == "after_student_step":
            self.batches.append(rest[0])
        if name == "after_epoch":
            self.rows.append(rest[0])


def test_callbacks_are_called_around_every_change_in_order():
    diary = Diary()
    cudfkd.distill(*networks(), config(epochs=1, steps_per_epoch=2, round_steps=2), callbacks=[diary])
    step = ["before_student_step", "after_student_step", "before_lambda_update", "after_lambda_update"]
    rounds = ["before_synthesis", "after_synthesis", *step, *step]
    assert diary.moments == ["before_run", "before_epoch", *rounds, "after_epoch", "after_run"]
    assert diary.lams == pytest.approx([2.0, 3.0, 3.0, 4.0])


def test_student_lambda_and_generator_change_only_between_their_own_moments():
    class Watch(Callback):
        def state(self, ctx):
            def copied(m):
                return [v.clone() for v in m.state_dict().values()]

            return copied(ctx.student), ctx.lam, copied(ctx.modules["generator"])

        def differs(self, a, b):
            def other(x, y):
                return any(not torch.equal(i, j) for i, j in zip(x, y, strict=True))

            return other(a[0], b[0]), a[1] != b[1], other(a[2], b[2])

        def before_epoch(self, ctx):
            self.last = self.state(ctx)
            self.changes = []

        def seen(self, what, ctx):
            now = self.state(ctx)
            self.changes.append((what, self.differs(self.last, now)))
            self.last = now

        def before_synthesis(self, ctx):
            self.seen("nothing", ctx)

        def after_synthesis(self, ctx):
            self.seen("generator", ctx)

        def before_student_step(self, ctx):
            self.seen("nothing", ctx)

        def after_student_step(self, ctx, batch):
            self.seen("student", ctx)

        def before_lambda_update(self, ctx):
            self.seen("nothing", ctx)

        def after_lambda_update(self, ctx):
            self.seen("lambda", ctx)

    watch = Watch()
    cudfkd.distill(*networks(), config(epochs=1), callbacks=[watch])
    allowed = {"nothing": (0, 0, 0), "student": (1, 0, 0), "lambda": (0, 1, 0), "generator": (0, 0, 1)}
    assert watch.changes == [(what, tuple(map(bool, allowed[what]))) for what, _ in watch.changes]
    assert len(watch.changes) == 2 * 2 + 4 * 4


@pytest.mark.parametrize("value", ["text", torch.zeros(()), [1.0]])
def test_a_callback_adds_numbers_and_nothing_else_to_a_row(value, tmp_path):
    class Adds(Callback):
        def __init__(self, value):
            self.value = value

        def after_epoch(self, ctx, row):
            row["mine"] = self.value

    assert cudfkd.distill(*networks(), config(), callbacks=[Adds(0.5)]).history["mine"].tolist() == [0.5, 0.5]
    with pytest.raises(ConfigError, match=r"a callback added mine .*: it must be an int or a float"):
        cudfkd.distill(*networks(), config(), callbacks=[Adds(value)], run_dir=tmp_path / "run")


def test_lazy_layers_are_refused():
    lazy = nn.Sequential(nn.Flatten(), nn.LazyLinear(10))
    for pair in ((networks()[0], lazy), (lazy, networks()[1])):
        with pytest.raises(ConfigError, match="has lazy layers, which have no weights yet"):
            cudfkd.distill(*pair, config())


def test_a_row_holds_what_happened_in_the_epoch():
    diary = Diary()
    run = cudfkd.distill(*networks(), config(epochs=1), evaluate_on=held_out(), callbacks=[diary])
    row = run.rows[0]
    losses, weights = (torch.stack([getattr(b, name) for b in diary.batches]) for name in ("losses", "weights"))
    assert row["loss"] == pytest.approx(float(losses.mean()))
    assert row["loss_q95"] == pytest.approx(float(losses.flatten().quantile(0.95)))
    assert row["mean_weight"] == pytest.approx(float(weights.mean()))
    assert row["weight_q05"] == pytest.approx(float(weights.flatten().quantile(0.05)))
    assert row["difficulty"] == pytest.approx(float((weights * losses).sum() / weights.sum()))
    assert row["objective"] == pytest.approx(float((weights * losses).mean()))
    assert (row["epoch"], row["student_steps"], row["generator_steps"]) == (1, 4, 2)
    wanted = {"lam", "adversarial_weight", "class_entropy", "bn_term", "one_hot_term", "seconds", "peak_memory_mb"}
    assert wanted <= set(row)
    assert row["seconds"] > 0


def test_no_tensor_is_read_by_the_host_inside_an_epoch():
    """Each read of a tensor would make the host wait for a GPU."""
    reads = Reads()

    class Scope(Callback):
        def before_epoch(self, ctx):
            self.steps = 0
            reads.start()

        def after_lambda_update(self, ctx):
            self.steps += 1
            if self.steps == ctx.config.steps_per_epoch:
                float(torch.zeros(1) + 1)  # the control: the watch sees a read
                reads.stop()

    cudfkd.distill(*networks(), config(epochs=1, options={"adv_start": 1.0}), callbacks=[Scope()])
    assert len(reads.stacks) == 1, reads.stacks[0]


# The fast path


def test_optimizers_take_their_steps_in_one_kernel():
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        cudfkd.distill(*networks(), config(epochs=1))
    calls = {event.key: event.count for event in profile.key_averages()}
    assert (calls.get("aten::_fused_sgd_"), calls.get("aten::_fused_adam_")) == (4, 2)


def test_students_learn_from_the_folded_teacher():
    class Count(Callback):
        def before_run(self, ctx):
            assert ctx.labeller is not ctx.teacher
            for name in ("teacher", "labeller"):
                getattr(ctx, name).register_forward_hook(lambda *_, name=name: self.calls.append(name))

        def before_synthesis(self, ctx):
            self.calls = []

        def after_synthesis(self, ctx):
            self.synthesis, self.calls = self.calls, []

    count = Count()
    cudfkd.distill(*networks(), config(epochs=1), callbacks=[count])
    assert (count.synthesis, count.calls) == (["teacher"], ["labeller"])  # both batches of the round in one pass


def test_the_generators_weights_are_laid_out_for_speed():
    generator = cudfkd.distill(*networks(), config(epochs=1)).generator
    weights = [layer.weight for layer in generator.modules() if isinstance(layer, nn.Conv2d)]
    assert len(weights) == 3
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)
    assert not any(weight.is_contiguous() for weight in weights)


# Input that the engine refuses


def no_batchnorm() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(256, 10))


def test_a_teacher_without_batchnorm_needs_bn_off():
    student = networks()[1]
    with pytest.raises(ConfigError, match=r"no BatchNorm .*bn=0"):
        cudfkd.distill(no_batchnorm(), student, config())
    cudfkd.distill(no_batchnorm(), student, config(options={"bn": 0.0}))


@pytest.mark.parametrize(
    ("changes", "data", "message"),
    [
        ({"image_size": None}, None, "image_size and channels are unknown"),
        ({"image_size": 20}, None, "teacher does not take images of shape"),
        ({"image_size": 20}, held_out(), "image_size = 20 is not that of evaluate_on, 16"),
        ({"channels": 3}, held_out(), "channels = 3 is not that of evaluate_on, 1"),
        ({"num_classes": 7}, None, "num_classes = 7 is not that of the teacher, 10"),
        ({"mean": (0.1, 0.2), "std": (1.0, 1.0)}, None, "has 2 numbers: it must have 1"),
        ({}, held_out(0), "empty"),
        ({"image_size": None}, held_out(4, size=18), "image_size = 18 is not allowed"),
    ],
)
def test_networks_data_and_config_must_fit_together(changes, data, message, tmp_path):
    with pytest.raises(ConfigError, match=message) as error:
        cudfkd.distill(*networks(), config(**changes), evaluate_on=data, run_dir=tmp_path / "run")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_teacher_and_student_must_agree_on_the_classes():
    with pytest.raises(ConfigError, match="teacher has 10 classes, student 7"):
        cudfkd.distill(networks()[0], models.build("lenet5", num_classes=7, image_size=16), config())
