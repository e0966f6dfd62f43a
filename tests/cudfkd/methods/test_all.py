"""Properties of every method: it runs, resumes to the bit, takes a curriculum, counts its steps, reads no tensor."""

import pytest
import torch

import cudfkd
from cudfkd import ConfigError, Curriculum, DistillConfig, methods
from cudfkd.callbacks import Callback
from tests.cudfkd.engine.test_loop import held_out, networks, same
from tests.cudfkd.engine.test_runs import Dropout, StopAfter
from tests.cudfkd.methods.tiny import DATA_FREE, config, distill
from tests.reads import Reads

ALL = methods.names()
GENERATING = [name for name in ALL if methods.get(name).ABOUT.generates]
BATCHES = ["cmi", "deepinversion", "fast-dfkd"]  # their rounds make one batch
TIMED = ["seconds", "total_seconds", "peak_memory_mb"]


@pytest.mark.parametrize("method", ALL)
def test_an_interrupted_run_goes_on_to_the_same_bits(method, tmp_path):
    """Two rounds an epoch: pools and banks are partly full, wrap around, and are read by later rounds."""
    c = config(method, epochs=4, round_steps=2)
    unbroken = distill(c, Dropout(), evaluate_on=held_out())
    with pytest.raises(KeyboardInterrupt):
        distill(c, Dropout(), evaluate_on=held_out(), run_dir=tmp_path / "run", callbacks=[StopAfter(2)])
    run = distill(c, Dropout(), evaluate_on=held_out(), run_dir=tmp_path / "run", resume=True)
    assert same(run.student, unbroken.student)
    assert run.history.drop(columns=TIMED).equals(unbroken.history.drop(columns=TIMED))
    if unbroken.generator is not None:
        assert same(run.generator, unbroken.generator)


@pytest.mark.parametrize("method", ["mb-dfkd", "cmi", "fast-dfkd"])
def test_the_resume_needs_what_is_remembered(method, tmp_path, monkeypatch):
    """The control of the test above: without pools, banks and averages in the checkpoint the students differ."""
    from cudfkd.runs.checkpoint import State

    c = config(method, epochs=4, round_steps=2)
    unbroken = distill(c)
    with pytest.raises(KeyboardInterrupt):
        distill(c, run_dir=tmp_path / "run", callbacks=[StopAfter(2)])
    stateful = State._stateful
    monkeypatch.setattr(State, "_stateful", lambda self: [p for p in stateful(self) if not p[0].startswith("memory.")])
    assert not same(distill(c, run_dir=tmp_path / "run", resume=True).student, unbroken.student)


class Scope(Callback):
    """Watches the reads of the second epoch. As the control, it reads a tensor itself at the end of the epoch."""

    def before_epoch(self, ctx):
        self.reads = Reads()
        if ctx.epoch == 1:
            self.reads.start()

    def after_lambda_update(self, ctx):
        if ctx.step == ctx.config.total_steps:
            float(torch.zeros(1) + 1)
            self.reads.stop()


@pytest.mark.parametrize("method", ALL)
def test_no_tensor_is_read_by_the_host_inside_an_epoch(method):
    scope = Scope()
    distill(config(method, round_steps=2), callbacks=[scope])
    assert len(scope.reads.stacks) == 1, scope.reads.stacks[0]


@pytest.mark.parametrize("method", ALL)
def test_a_curriculum_is_a_configuration(method):
    above = {"regularizer": "linear", "lam_start": 5000.0, "lam_end": 5000.0}  # above all losses of all methods
    easy = distill(config(method, curriculum=Curriculum(**above), epochs=1))
    plain = distill(config(method, curriculum=Curriculum(granularity="none"), epochs=1))
    assert easy.rows[0]["mean_weight"] < 1
    assert plain.rows[0]["mean_weight"] == 1


def test_only_the_papers_own_method_has_a_curriculum_by_default():
    assert {name for name in ALL if DistillConfig(method=name).curriculum.granularity != "none"} == {"cudfkd"}


@pytest.mark.parametrize("method", ALL)
def test_bfloat16_trains_to_finite_numbers(method):
    run = distill(config(method, precision="bfloat16", epochs=1))
    assert all(p.isfinite().all() and p.dtype == torch.float32 for p in run.student.parameters())


@pytest.mark.parametrize("method", ALL)
def test_the_generators_steps_are_counted(method):
    counted, adam = [0], torch.optim.Adam.step

    def step(self, *arguments, **named):
        counted[0] += 1
        return adam(self, *arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", step)
        run = distill(config(method))
    extra = {"cmi": 2, "fast-dfkd": 1}.get(method, 0)  # the head steps along; the start moves after each round
    taken = run.summary["generator_steps"]
    assert taken > 0 if method in GENERATING else taken == 0
    rounds = 3 if method == "fast-dfkd" else 0
    assert counted[0] == (taken * extra if method == "cmi" else taken + rounds * extra)


@pytest.mark.parametrize("method", ALL)
def test_the_images_that_the_teacher_looks_at_are_counted(method):
    seen = []

    class Passes(Callback):
        """Counts the images of each pass of the teacher, from the first epoch on."""

        def before_epoch(self, ctx):
            for network in {ctx.teacher, ctx.labeller or ctx.teacher}:
                network.register_forward_pre_hook(lambda _network, inputs: seen.append(len(inputs[0])))

    run = distill(config(method, epochs=1), callbacks=[Passes()])
    asked = method != "scratch"
    assert run.rows[0]["teacher_images"] == sum(seen)
    assert (run.rows[0]["teacher_images"] > 0) == asked


def test_images_that_the_teacher_sees_for_a_callback_are_no_queries():
    class Curious(Callback):
        """Asks the teacher at each moment at which a method does."""

        def after_synthesis(self, ctx):
            ctx.teacher_logits(torch.rand(3, 1, 16, 16))

        def after_student_step(self, ctx, batch):
            ctx.soft_labels(batch.images)

    watched, alone = (distill(config("dafl", epochs=1), callbacks=each) for each in ([Curious()], []))
    assert watched.rows[0]["teacher_images"] == alone.rows[0]["teacher_images"] > 0


@pytest.mark.parametrize("method", GENERATING)
def test_an_equal_budget_of_generator_steps_is_a_configuration(method):
    options = {"warmup": 0} if method == "fast-dfkd" else {"replay_steps": 0} if method == "pre-dfkd" else {}
    run = distill(config(method, generator_ratio=1.5, round_steps=4, options=options))
    assert run.summary["generator_steps"] == 1.5 * run.summary["student_steps"]


@pytest.mark.parametrize("store", ["fresh", "same", "step", "again", "pool", "mixture"])
@pytest.mark.parametrize("method", GENERATING)
def test_any_store_goes_with_any_method(method, store):
    if method in BATCHES and store in ("fresh", "step", "again"):
        with pytest.raises(ConfigError, match=rf"store = '{store}' is not for {method}, which makes one batch a round"):
            distill(config(method, options={"store": store}))
        return
    run = distill(config(method, epochs=1, options={"store": store}))
    assert run.rows[0]["student_steps"] == 4


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("output", ["sigmoid", "standardised", "scaled"])
@pytest.mark.parametrize("method", [name for name in GENERATING if name not in BATCHES])
def test_any_output_and_mode_of_the_generator_goes_with_any_method(method, output, mode, tmp_path):
    """The run is resumed to the bit, and its generator is rebuilt from the folder."""
    options = {"generator_output": output, "sampling_mode": mode, "store": "mixture", "generator_schedule": "cosine"}
    c = config(method, options=options, mean=(0.3,), std=(0.4,))
    unbroken = distill(c)
    with pytest.raises(KeyboardInterrupt):
        distill(c, run_dir=tmp_path / "run", callbacks=[StopAfter(1)])
    assert same(distill(c, run_dir=tmp_path / "run", resume=True).student, unbroken.student)
    loaded = cudfkd.load_run(tmp_path / "run", student=networks()[1]).generator
    assert same(loaded, unbroken.generator)
    z = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(loaded(z), unbroken.generator.eval()(z))
    made = loaded.train()(z)
    if output == "sigmoid":
        assert 0 <= float(made.min()) <= float(made.max()) <= 1
    if output == "standardised":
        assert float(made.mean()) == pytest.approx(0.3, abs=1e-5)
        assert float(made.std(correction=0)) == pytest.approx(0.4, rel=0.01)


def test_a_pool_larger_than_the_machine_is_refused():
    with pytest.raises(ConfigError, match=r"memory_size = 1000000000000 is not allowed: its 256000\.0 GB are more"):
        distill(config("dfq", options={"store": "pool", "memory_size": 10**12}))


@pytest.mark.parametrize("method", DATA_FREE)
def test_real_images_are_refused_by_data_free_methods(method):
    with pytest.raises(ConfigError, match=f"method {method} is data-free: leave train_on out"):
        cudfkd.distill(*networks(), config(method), train_on=held_out())


def test_options_of_methods_do_not_hide_those_of_the_run():
    taken = DistillConfig.model_fields.keys() | Curriculum.model_fields.keys()
    assert not [name for name in ALL if taken & methods.get(name).Options.model_fields.keys()]


@pytest.mark.parametrize("method", ALL)
def test_every_option_is_explained_and_every_method_names_its_paper(method):
    module = methods.get(method)
    assert all(field.description for field in module.Options.model_fields.values())
    assert module.ABOUT.paper
    assert module.ABOUT.needs
    assert len(module.__doc__) > 200
