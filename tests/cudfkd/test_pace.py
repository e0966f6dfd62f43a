"""lambda over a run: on schedule, or a moving quantile of the losses, which is settled before the batch it weighs."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import cudfkd
from cudfkd import ConfigError, Curriculum, DistillConfig, models
from cudfkd.callbacks import Callback
from cudfkd.curriculum import LEAST_PACE, Pace, pace

CPU = torch.device("cpu")
MOVING = {"pace": "quantile", "quantile_start": 0.5, "quantile_end": 0.9, "quantile_memory": 0.8, "quantile_times": 1.5}


def config(**changes) -> DistillConfig:
    options = {"latent_dim": 8, "generator_width": 2, "loss": "kl", "temperature": 20.0} | changes.pop("options", {})
    base = {"epochs": 2, "steps_per_epoch": 4, "round_steps": 2, "batch_size": 8, "image_size": 16, "channels": 1}
    return DistillConfig(**base | {"curriculum": Curriculum(**MOVING)} | changes, options=options)


def networks():
    return models.build("lenet5", image_size=16, seed=1).eval(), models.build("lenet5-half", image_size=16, seed=2)


class Watch(Callback):
    """Notes the pace that weighed each batch, the batch's losses, and the pace after the update."""

    def __init__(self) -> None:
        self.weighed, self.losses, self.after = [], [], []

    def before_student_step(self, ctx) -> None:
        self.weighed.append(float(ctx.lam))

    def after_student_step(self, ctx, batch) -> None:
        assert float(ctx.lam) == self.weighed[-1]
        self.losses.append(batch.losses)

    def after_lambda_update(self, ctx) -> None:
        self.after.append(float(ctx.lam))


def batches(n: int = 40, size: int = 64) -> list[torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    return [(1 + k / 10) * torch.rand(size, generator=rng).square() for k in range(n)]


def test_on_schedule_it_is_the_line():
    curriculum = Curriculum(lam_start=1.0, lam_end=3.0)
    kept = Pace(curriculum, 10, CPU)
    assert [kept.at(0), *(kept.after(torch.ones(4), step) for step in range(1, 11))] == [
        pace(curriculum, step, 10) for step in range(11)
    ]
    assert not kept.state_dict()


def test_the_moving_quantile_is_the_weighted_mean_of_the_batches_quantiles():
    c, losses = Curriculum(**MOVING), batches()
    kept = Pace(c, len(losses), CPU)
    assert float(kept.at(0)) == c.lam_start
    for n in range(1, len(losses) + 1):
        lam = float(kept.after(losses[n - 1], n))
        shares = [c.quantile_start + (c.quantile_end - c.quantile_start) * k / len(losses) for k in range(1, n + 1)]
        quantiles = [1.5 * float(torch.quantile(batch, share)) for batch, share in zip(losses[:n], shares, strict=True)]
        weights = [c.quantile_memory ** (n - k) for k in range(1, n + 1)]
        expected = sum(w * q for w, q in zip(weights, quantiles, strict=True)) / sum(weights)
        assert lam == pytest.approx(expected, rel=1e-5)


def test_without_memory_it_is_the_quantile_of_the_last_batch():
    kept = Pace(
        Curriculum(
            **MOVING | {"quantile_start": 0.25, "quantile_end": 0.25, "quantile_memory": 0.0, "quantile_times": 1.0}
        ),
        9,
        CPU,
    )
    for step, losses in enumerate(batches(9), start=1):
        assert float(kept.after(losses, step)) == pytest.approx(float(torch.quantile(losses, 0.25)))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_one_setting_serves_losses_of_any_scale(scale):
    many = batches()
    plain, scaled = (Pace(Curriculum(**MOVING), len(many), CPU) for _ in range(2))
    for step, losses in enumerate(many, start=1):
        assert float(scaled.after(scale * losses, step)) == pytest.approx(
            scale * float(plain.after(losses, step)), rel=1e-4
        )


def test_it_follows_losses_that_fall():
    kept = Pace(Curriculum(**MOVING), 100, CPU)
    first = float(kept.after(torch.full((8,), 10.0), 1))
    assert float(kept.after(torch.full((8,), 1.0), 2)) < first


def test_losses_of_zero_leave_lambda_in_its_domain():
    kept = Pace(Curriculum(**MOVING), 10, CPU)
    assert float(kept.after(torch.zeros(8), 1)) == pytest.approx(LEAST_PACE)


def test_lambda_is_settled_before_the_batch_that_it_weighs():
    watch = Watch()
    cudfkd.distill(*networks(), config(), callbacks=[watch])
    assert watch.weighed[0] == 2.0
    assert watch.weighed[1:] == watch.after[:-1]
    kept = Pace(Curriculum(**MOVING), 8, CPU)
    lams = [float(kept.after(losses, step)) for step, losses in enumerate(watch.losses, start=1)]
    assert lams == watch.after  # of the batches before it, and of nothing else


def test_a_resumed_run_has_the_same_bits(tmp_path):
    unbroken, broken = tmp_path / "whole", tmp_path / "parts"
    cudfkd.distill(*networks(), config(epochs=3), run_dir=unbroken)

    class Dies(Callback):
        def before_epoch(self, ctx) -> None:
            if ctx.epoch == 2:
                raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        cudfkd.distill(*networks(), config(epochs=3), run_dir=broken, callbacks=[Dies()])
    resumed = cudfkd.distill(*networks(), config(epochs=3), run_dir=broken, resume=True)
    assert (unbroken / "student.safetensors").read_bytes() == (broken / "student.safetensors").read_bytes()
    assert [row["lam"] for row in cudfkd.load_run(unbroken).rows] == [row["lam"] for row in resumed.rows]


def test_no_value_is_read_within_an_epoch():
    reads = []

    class Reads(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if func is torch.ops.aten._local_scalar_dense.default:
                reads.append(func)
            return func(*args, **(kwargs or {}))

    kept = Pace(Curriculum(**MOVING), 10, CPU)
    with Reads():
        kept.after(torch.rand(8), 3)
        assert not reads
        float(kept.at(3))  # the control: the watch sees a read
    assert len(reads) == 1


def test_a_loss_on_a_large_scale_is_dead_on_schedule_and_alive_on_the_quantile():
    teacher, student = networks()
    for layer in (network.classifier[-1] for network in (teacher,)):
        torch.nn.init.normal_(layer.weight, std=30.0)
    fixed = Curriculum(lam_start=0.3, lam_end=0.3, on_dead="warn")
    with pytest.warns(UserWarning, match="dead"):
        dead = cudfkd.distill(teacher, student, config(curriculum=fixed))
    alive = cudfkd.distill(teacher, networks()[1], config())
    assert dead.rows[-1]["dead_steps"] == 1
    assert alive.rows[-1]["dead_steps"] == 0


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"pace": "median"}, "unknown pace 'median'"),
        ({"quantile_start": 0.0}, "quantile_start = 0.0"),
        ({"quantile_end": 1.5}, "quantile_end = 1.5"),
        ({"quantile_memory": 1.0}, "quantile_memory = 1.0"),
        ({"quantile_times": 0.0}, "quantile_times = 0.0"),
        ({"quantile_start": 0.9, "quantile_end": 0.5}, "at most quantile_end = 0.5"),
        (
            {"pace": "quantile", "regularizer": "jiang-log", "lam_start": 0.2, "lam_end": 0.5},
            "take another regularizer",
        ),
    ],
)
def test_bad_values(values, line):
    with pytest.raises(ConfigError, match=line):
        Curriculum(**values)
