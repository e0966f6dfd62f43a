"""ZSKT: attention maps align, the batch is the same for a round, layers that do not fit are refused."""

import pytest
import torch
from torch import nn

from cudfkd import ConfigError
from cudfkd.losses import kl
from cudfkd.methods import zskt
from cudfkd.methods.parts.terms import attention_gap
from cudfkd.models.watch import Watch
from cudfkd.runs.student_batch import StudentBatch
from tests.cudfkd.engine.test_loop import networks
from tests.cudfkd.methods.tiny import build, config, context, distill, images

LAYERS = ["features.2", "features.3", "features.6", "features.7"]


def maps(network, x):
    with Watch(network, LAYERS).recording() as seen:
        network(x)
    return list(seen.values())


def test_the_students_loss_is_divergence_plus_attention():
    ctx, x = context(config("zskt", options={"attention": 3.0})), images()
    expected = kl(ctx.teacher(x), ctx.student(x)) + 3 * 10 * attention_gap(maps(ctx.teacher, x), maps(ctx.student, x))
    torch.testing.assert_close(build(ctx).objective.losses(ctx, StudentBatch(x)), expected)


def test_without_attention_it_is_the_divergence():
    ctx, x = context(config("zskt", options={"attention": 0.0})), images()
    torch.testing.assert_close(build(ctx).objective.losses(ctx, StudentBatch(x)), kl(ctx.teacher(x), ctx.student(x)))


def test_by_default_the_last_maps_of_each_common_size_are_matched():
    ctx = context(config("zskt"))
    assert zskt.layers(ctx.config.options, ctx) == (LAYERS, LAYERS)


def test_attention_aligns_and_its_control_does_not():
    """An untrained teacher has no clear attention, so this teacher's first convolution sees one side of an edge."""

    def gap_after(attention):
        c = config("zskt", epochs=6, lr=0.05, options={"attention": attention}, steps_per_epoch=10)
        student = distill(c).student
        x = images(32)
        return float(attention_gap(maps(networks()[0], x), maps(student, x)).mean())

    assert gap_after(25.0) < 0.7 * gap_after(0.0)


def test_a_round_studies_one_batch():
    from cudfkd.callbacks import Callback

    class Batches(Callback):
        def __init__(self):
            self.seen = []

        def after_student_step(self, ctx, batch):
            self.seen.append(float(batch.images.double().sum()))

    same, fresh = Batches(), Batches()
    distill(config("zskt", epochs=1, round_steps=2), callbacks=[same])
    distill(config("zskt", epochs=1, round_steps=2, options={"store": "fresh"}), callbacks=[fresh])
    assert len(set(same.seen)) == 2
    assert len(set(fresh.seen)) == 4


def test_the_students_gradient_is_clipped():
    students = [
        distill(config("zskt", epochs=1, options={"clip": clip}, weight_decay=0.0)).student for clip in (1e-12, 5.0)
    ]
    start = networks()[1]
    moved = [
        max(float((a - b).detach().abs().max()) for a, b in zip(s.parameters(), start.parameters(), strict=True))
        for s in students
    ]
    assert moved[0] < 1e-9 < 1e-4 < moved[1]


def test_the_generators_gradient_is_clipped():
    moved = {}
    for clip in (1e-12, 5.0):
        ctx = context(config("zskt", options={"clip": clip}))
        plan = build(ctx)
        before = [p.detach().clone() for p in plan.modules["generator"].parameters()]
        plan.synthesizer.round(ctx)
        after = plan.modules["generator"].parameters()
        moved[clip] = max(float((a - b).detach().abs().max()) for a, b in zip(after, before, strict=True))
    assert moved[1e-12] < 1e-2 * moved[5.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"teacher_layers": ("features.2",)}, "teacher_layers has 1 modules and student_layers 0"),
        ({"teacher_layers": ("feature.2",), "student_layers": ("features.2",)}, "did you mean 'features.2'"),
        ({"teacher_layers": ("features.2",), "student_layers": ("features.3",)}, "16 pixels, features.3 .* of 8"),
        ({"teacher_layers": ("classifier",), "student_layers": ("classifier",)}, "classifier gives out no maps"),
    ],
)
def test_layers_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        build(context(config("zskt", options=options)))


def test_networks_without_common_maps_need_attention_off():
    ctx = context(config("zskt"))
    ctx.student = nn.Sequential(nn.Flatten(), nn.Linear(256, 10))
    with pytest.raises(ConfigError, match="no maps of one size, which attention needs: set attention=0"):
        build(ctx)
