"""The probe changes no run, measures the losses of the live networks, and refuses networks with random logits."""

import pytest
import torch
from torch import nn
from torch.nn.functional import dropout

import cudfkd
from analysis.live.accounts import account
from analysis.live.probe import Probe, nondeterministic
from cudfkd import ConfigError, losses
from cudfkd.callbacks import Callback
from cudfkd.curriculum import weigh
from tests.analysis.live.toys import config, probed, student, teacher


class Noisy(nn.Module):
    """A student with dropout. Eval mode turns it off only if `quiet`. An option adds put_."""

    def __init__(self, quiet: bool = False, put: bool = False) -> None:
        super().__init__()
        self.quiet, self.put, self.inner, self.drop = quiet, put, student(), nn.Dropout(0.3)

    def forward(self, x):
        logits = self.inner(x)
        if self.put:
            logits = logits.clone().put_(torch.tensor([0]), logits.flatten()[:1].detach())
        return self.drop(logits) if self.quiet else dropout(logits, 0.3, training=True)


def bits(network: nn.Module) -> list[torch.Tensor]:
    return list(network.state_dict().values())


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_the_run_is_the_same_to_the_bit(mode):
    alone = student()
    plain = cudfkd.distill(teacher(), alone, config())
    _, watched = probed(config(), probe=Probe(every=1, samples=16, mode=mode))
    assert all(torch.equal(a, b) for a, b in zip(bits(alone), bits(watched), strict=True))
    assert len(plain.rows) == 2
    assert watched.training is False


def test_what_is_read_is_the_loss_of_the_live_networks():
    seen = {}

    class Look(Callback):
        def after_student_step(self, ctx, batch) -> None:
            z = torch.randn(16, 8, generator=torch.Generator().manual_seed(0))
            generator = ctx.modules["generator"].eval()
            with torch.no_grad():
                images = generator(z)
                t, s = (net.eval()(images) for net in (ctx.teacher, ctx.student))
            seen[ctx.step] = losses.l1(t, s)

    probe, _ = probed(config(), Look())
    read = {reading.step: reading.losses for reading in probe.readings if reading.moment == "stepped"}
    assert read.keys() == seen.keys()
    for step, expected in seen.items():
        assert read[step].dtype == torch.float64
        assert read[step].float().tolist() == pytest.approx(expected.tolist(), abs=1e-5)


def test_the_gradient_is_that_of_the_objective():
    norms = {}

    class Look(Callback):
        def before_student_step(self, ctx) -> None:
            z = torch.randn(16, 8, generator=torch.Generator().manual_seed(0))
            with torch.no_grad():
                images = ctx.modules["generator"].eval()(z)
                t = ctx.teacher(images)
            values = losses.l1(t, ctx.student.eval()(images))
            slopes = torch.autograd.grad(
                weigh(ctx.config.curriculum, values, ctx.lam).objective, ctx.student.parameters()
            )
            norms[ctx.step] = float(torch.cat([slope.flatten() for slope in slopes]).norm())

    probe, _ = probed(config(), Look())
    read = {reading.step: reading.gradient for reading in probe.readings if reading.moment == "before step"}
    assert read == pytest.approx(norms, rel=1e-3)


def test_rounds_between_readings_cost_no_forward_pass():
    passes = []
    network = student()
    probe = Probe(every=3, samples=16, gradient=False)
    forward = type(network).forward

    def counted(self, x):
        if x.dtype == torch.float64:
            passes.append(len(probe.readings))
        return forward(self, x)

    type(network).forward = counted
    try:
        probed(config(), probe=probe, network=network)
    finally:
        type(network).forward = forward
    # start: two passes each of teacher and student, to compare them; of six rounds, two and the end are read
    assert [reading.round for reading in probe.readings if reading.moment in ("round", "end")] == [0, 3, 6]
    assert len(passes) <= 2 + 4 + 2 * (2 + 2 + 2) + 3 * 4


def test_without_a_probe_nothing_is_called():
    class Empty(Callback):
        pass

    moments = [name for name in vars(Callback) if not name.startswith("_")]
    assert not set(moments) & set(vars(Empty))  # the engine calls only the callbacks that were passed in
    assert cudfkd.distill(teacher(), student(), config(epochs=1)).rows


def test_random_numbers_in_eval_mode_are_refused():
    with pytest.raises(ConfigError, match="the student gives other logits for the same images.*would not add up"):
        probed(config(), network=Noisy())


@pytest.mark.parametrize(("quiet", "mode"), [(True, "eval"), (True, "train"), (False, "train")])
def test_dropout_that_is_off_or_whose_masks_are_fixed_is_accounted_for(quiet, mode):
    result = account(probed(config(), probe=Probe(every=1, samples=16, mode=mode), network=Noisy(quiet))[0])
    assert result.worst() <= 1e-12


def test_batch_statistics_of_the_fixed_latents_are_another_objective():
    results = [account(probed(config(), probe=Probe(every=1, samples=16, mode=mode))[0]) for mode in ("eval", "train")]
    assert abs(results[0].steps["end"].iloc[-1] - results[1].steps["end"].iloc[-1]) > 1e-4
    assert all(result.worst() <= 1e-12 for result in results)


def test_kernels_without_a_deterministic_version_are_named_when_exactness_is_asked_for():
    with pytest.raises(ConfigError, match=r"not deterministic: put_; run on the CPU"):
        probed(config(), probe=Probe(samples=16, exact=True), network=Noisy(quiet=True, put=True))
    assert probed(config(), probe=Probe(samples=16, exact=True))[0].readings
    assert nondeterministic(lambda: torch.ones(3).sum()) == []
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"every": 0}, "every = 0"),
        ({"samples": 1}, "samples = 1"),
        ({"mode": "both"}, "mode = 'both'"),
        ({"seed": -1}, "seed = -1"),
    ],
)
def test_bad_arguments(arguments, line):
    with pytest.raises(ConfigError, match=line):
        Probe(**arguments)


def test_a_method_without_an_option_loss_is_refused():
    probe = Probe(samples=16)

    class Options:
        pass

    cfg = config().model_copy(update={"options": Options()})
    ctx = type("Ctx", (), {"config": cfg, "modules": {}})()
    with pytest.raises(ConfigError, match="has no generator"):
        probe.before_run(ctx)
    ctx.modules = {"generator": type("G", (), {"latent_dim": 8})()}
    with pytest.raises(ConfigError, match="has no option loss"):
        probe.before_run(ctx)


def test_a_probe_serves_one_run_after_the_other():
    probe = Probe(every=1, samples=16)
    first = account(probed(config(), probe=probe)[0]).steps
    second = account(probed(config(), probe=probe)[0]).steps
    assert first.equals(second)
