"""The engine: rounds of synthesis and student steps, until the run is over. It knows no method by name."""

import warnings
from collections.abc import Iterable
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.data import Dataset

from cudfkd import methods
from cudfkd.base import process
from cudfkd.base.deadline import deadline_after
from cudfkd.base.errors import ConfigError, TrainingError
from cudfkd.base.files import folder_path
from cudfkd.base.out_of_memory import is_out_of_memory, what_fits
from cudfkd.base.randomness import Randomness, seeded
from cudfkd.base.ranks import Ranks
from cudfkd.boundary import networks
from cudfkd.boundary.images import Images
from cudfkd.boundary.weights import refuse_unsaveable
from cudfkd.callbacks import Batch, Callback
from cudfkd.config import DistillConfig
from cudfkd.curriculum import Pace, weigh
from cudfkd.engine import fitting, health
from cudfkd.engine.examiner import Examiner
from cudfkd.engine.run import Run
from cudfkd.evaluation import Evaluation
from cudfkd.methods.parts.contract import Method
from cudfkd.models import is_ours
from cudfkd.models.borrowed import borrowed
from cudfkd.models.compiling import compiling
from cudfkd.models.folding import folded
from cudfkd.models.normalize import Normalize
from cudfkd.runs.checkpoint import State
from cudfkd.runs.context import Context
from cudfkd.runs.folder import RunFolder, describe
from cudfkd.runs.log import EpochLog
from cudfkd.runs.metrics import Row, refuse_other_than_numbers, row


@process.plain()
def distill(
    teacher: nn.Module | Any,
    student: nn.Module | Any,
    config: DistillConfig | Any = DistillConfig(),
    *,
    evaluate_on: Dataset | Any = None,
    run_dir: str | Path | Any = None,
    resume: bool = False,
    callbacks: Iterable[Callback] | Any = (),
    stop_after: int | float | None = None,
    train_on: Dataset | Any = None,
) -> Run:
    """Distills a teacher into a student without data.

    The result depends on nothing but these arguments. Code of users (data sets, callbacks) does not see or shift the
    random numbers of the run. Warns if the teacher's or the student's logits look as if no run can learn from them.

    With a process group of torch.distributed, all its processes make this call with equal arguments and share the run:
    see `cudfkd.base.ranks`. Rank 0 reads and writes the folder. The student on every rank starts as it is on rank 0.

    Arguments:
        teacher: network that maps normalised images (batch, channels, size, size) to logits (batch, classes). At the
            end its modes, requires_grad, hooks and device are as before.
        student: network that maps normalised images to logits, too; trained in place, and left in eval mode on the
            config's device.
        config: settings of the run.
        evaluate_on: held-out pairs of (image in [0, 1], label). They are used after each epoch, never for training.
        run_dir: folder for the run; None: nothing is written.
        resume: go on from the checkpoint in run_dir, if there is a checkpoint; on the CPU the result is the same to the
            bit as without interruption. For a finished run, only load the result.
        callbacks: objects that watch the run, see `cudfkd.callbacks`.
        stop_after: minutes. The run ends at the last checkpoint before they are over, but not before one epoch. The
            returned run then has an empty summary, and `resume` goes on with it.
        train_on: pairs of (image in [0, 1], label), only for the reference methods that study real images.

    Raises:
        ConfigError: networks, data and config do not fit together, or run_dir holds another run or is in use, or a
            network is in use in another thread.
        DataError: run_dir cannot be written or is damaged.
        TrainingError: a loss was not finite, the curriculum is dead or a rank was lost; the last good checkpoint is
            kept.
    """
    path = None if run_dir is None else folder_path("run_dir", run_dir)
    watching = fitting.callbacks(callbacks)
    fitting.refuse_config(config)
    of_teacher, of_student = networks.network("teacher", teacher), networks.network("student", student)
    networks.refuse_unfit(of_teacher, of_student)
    if run_dir is not None:
        refuse_unsaveable(of_student)
    images = fitting.images_of(config, evaluate_on, train_on)
    with networks.in_use(teacher=of_teacher, student=of_student):
        run = _within_memory(of_teacher, of_student, config, images, path, resume, watching, stop_after)
    return replace(run, student=student, path=None if run_dir is None else Path(run_dir))


def _within_memory(
    teacher: nn.Module,
    student: nn.Module,
    config: DistillConfig,
    images: dict[str, Images],
    run_dir: Path | None,
    resume: bool,
    callbacks: tuple[Callback, ...],
    stop_after: int | float | None,
) -> Run:
    """Distills. If memory runs out, the error line names a batch size that fits."""
    try:
        return _distill(teacher, student, config, images, run_dir, resume, callbacks, stop_after)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    # At this line the error is freed, and with it the memory of the run; so trial runs of one round have room.
    one_round = {"epochs": 1, "steps_per_epoch": config.round_steps, "keep_epochs": ()}

    def attempt(size: int) -> None:
        smaller = config.model_copy(update=one_round | {"batch_size": size})
        _distill(teacher, deepcopy(student), smaller, images, None, False, (), None)

    raise ConfigError(what_fits(config.device, config.batch_size, attempt if Ranks.here().size == 1 else None))


def _distill(
    teacher: nn.Module,
    student: nn.Module,
    config: DistillConfig,
    images: dict[str, Images],
    run_dir: Path | None,
    resume: bool,
    callbacks: tuple[Callback, ...],
    stop_after: int | float | None,
) -> Run:
    """Sets a run up, trains it and returns it. The order of the statements decides the random bits of the run.

    A run draws from these generators of random numbers:

        global generators       initial weights of the method's networks; weights that a method resets during the run;
                                dropout, and all draws of a foreign network in rounds and student steps
        ctx.rng                 all further draws of the method: latents, noise, batches, augmentation
        generators for a block  draws of a foreign network in checks and evaluation; each block has the run's seed
        a private generator     the images of `Context.probe`, with seed 0

    The global generators have the run's states in the blocks `randomness.inside()` only. At all times outside, and in
    callbacks, they have the states of the caller.
    """
    # Arguments that need no device. No random numbers. The time of stop_after runs from here.
    ranks = Ranks.here()
    folder = RunFolder(run_dir, ranks)
    if stop_after is not None and folder.path is None:
        raise ConfigError(f"stop_after = {stop_after!r} needs run_dir: without a folder there is nothing to go on from")
    deadline = deadline_after(stop_after)
    with ExitStack() as stack:
        # Surroundings of every later block, so they come first and end last: the loss of a rank becomes an error of one
        # line, torch.compile gets its limits, and NCCL sends all messages from this rank's GPU. No random numbers.
        stack.enter_context(ranks.watched(folder.path))
        if config.compile != "off":
            stack.enter_context(compiling())
        if ranks.size > 1 and config.device == "cuda":
            stack.enter_context(torch.cuda.device(ranks.device(config.device)))

        # Checks of the ranks, before any rank works alone: equal settings on all ranks. No random numbers.
        ranks.agree(config.model_dump(mode="json") | {"run_dir": str(run_dir), "resume": resume})
        fitting.refuse_ranks(config, student, ranks)
        device = ranks.device(config.device)

        # The states of the global generators, at their start. No random numbers.
        randomness = Randomness(config.seed, device, foreign=not (is_ours(teacher) and is_ours(student)))

        # Both networks to the device. The teacher is frozen, the student gets the weights of rank 0. It comes before
        # the first forward pass, which needs both networks on the device. No random numbers.
        stack.enter_context(borrowed(teacher, device))
        ranks.agree({name: list(getattr(value, "shape", ())) for name, value in student.state_dict().items()})
        student.to(device)
        ranks.follow(student)

        # State of the run. Seeds ctx.rng. Foreign networks may draw in the block's own state. It comes before the
        # method, which needs ctx and its shape.
        with seeded(config.seed, device):
            ctx = _context(config, teacher, student, images.get("evaluate_on"), device)
        ctx.ranks = ranks

        # Real images of the reference methods. It comes before the method, which may use the images. No random numbers.
        ctx.training = fitting.training_images(ctx, images.get("train_on"))

        # The method. Draws: the initial weights of its networks, the first numbers of the global CPU generator.
        with randomness.inside():
            method = methods.get(config.method).build(config.options, ctx)
        ctx.modules = method.modules

        # Evaluation data, then optimizer and pace. It comes after the method, because checkpoints hold the method's
        # networks, too. No random numbers of the run.
        examiner = Examiner.of(ctx, images.get("evaluate_on"))
        engine = _Engine(ctx, method, examiner, folder, callbacks, randomness)

        # The folder. It comes last, so that a run that is refused above leaves no folder. `prepare` saves the start of
        # a new run, with the states of the generators after the draws above. For a resumed run it loads a checkpoint,
        # which replaces these states. No random numbers.
        stack.enter_context(folder.claimed())
        engine.prepare(describe(config, student, teacher, method.modules.get("generator"), images), resume=resume)

        # The loop. Draws: the method's random numbers, from ctx.rng; resets of weights and foreign networks, from the
        # global generators.
        if not engine.summary:
            with randomness.inside():
                engine.train(deadline)
    return Run(config, folder.rows, engine.summary, student, method.modules.get("generator"), folder.path)


class _Engine:
    """Owns the loop of a run. `ctx` is the view of the run's state for methods and callbacks."""

    def __init__(
        self,
        ctx: Context,
        method: Method,
        examiner: Examiner | None,
        folder: RunFolder,
        callbacks: tuple[Callback, ...],
        randomness: Randomness,
    ) -> None:
        self.ctx, self.method, self.examiner, self.folder = ctx, method, examiner, folder
        self.callbacks, self.randomness = fitting.by_moment(callbacks), randomness
        config = ctx.config
        self.optimizer = torch.optim.SGD(
            ctx.student.parameters(), config.lr, config.momentum, weight_decay=config.weight_decay, fused=True
        )
        self.pace = Pace(config.curriculum, config.total_steps, ctx.device)
        ctx.lam = self.pace.at(0)
        self.state = State(
            {"student": ctx.student, **method.modules},
            {"student": self.optimizer, **method.optimizers},
            ctx.rng,
            randomness,
            {**method.memory, "pace": self.pace},
        )
        self.generator_steps = 0
        self.last_evaluation: Evaluation | None = None
        self.was_dead = False
        self.summary: dict = {}  # stays empty until the run is finished

    def prepare(self, description: dict, *, resume: bool) -> None:
        """Opens the run folder; saves the start of a new run, loads a resumed run or the result of a finished run."""
        self.ctx.ranks.agree(description)
        stage = self.folder.open(description, resume=resume)
        if stage == "new":
            self.folder.save_start(self.state)
        elif stage == "finished":
            self.summary = self.folder.load_finished(self.state)
            self._rest()
        else:
            self.ctx.epoch, self.generator_steps = self.folder.load(self.state)
            self.ctx.step = self.ctx.epoch * self.ctx.config.steps_per_epoch
            self.ctx.round = self.ctx.step // self.ctx.config.round_steps
            self.ctx.lam = self.pace.at(self.ctx.step)

    def train(self, deadline: float) -> None:
        """Trains to the end, or to the last epoch that should end before `deadline`, a time of `perf_counter`.

        An epoch is expected to take as long as the longest epoch so far.
        """
        ctx, longest = self.ctx, 0.0
        self._call("before_run")
        while ctx.epoch < ctx.config.epochs:
            started = perf_counter()
            self._epoch()
            longest = max(longest, perf_counter() - started)
            late = ctx.ranks.lead(lambda longest=longest: perf_counter() + longest > deadline)
            if ctx.epoch < ctx.config.epochs and late:
                self._rest()
                return
        self._rest()
        self._call("after_run")
        if self.examiner and self.last_evaluation is None:  # the run was resumed after its last epoch
            self.last_evaluation = self.examiner.examine(ctx)
        self.summary = self._summary()
        self.folder.finish(self.state, self.summary, ctx.device)

    def _rest(self) -> None:
        """Puts all networks of the run into eval mode."""
        for network in self.state.modules.values():
            network.eval()

    def _summary(self) -> dict:
        """Returns counts and scores of the last epoch, and the accuracy of the best epoch as `best_epoch_accuracy`.

        The student of the result is the student after the last epoch.
        """
        rows, scores = self.folder.rows, self.last_evaluation
        last = {name: estimate._asdict() for name, estimate in scores._asdict().items()} if scores else {}
        best = {"best_epoch_accuracy": max(row["accuracy"] or 0.0 for row in rows)} if scores else {}
        counts = {name: rows[-1][name] for name in ("epoch", "student_steps", "generator_steps", "total_seconds")}
        return {**counts, **last, **best}

    def _epoch(self) -> None:
        ctx, config = self.ctx, self.ctx.config
        ctx.log = EpochLog()
        self._call("before_epoch")
        started = perf_counter()
        for _ in range(config.steps_per_epoch // config.round_steps):
            self._round()
        ctx.log.average(ctx.ranks)
        bad = ctx.log.not_finite()  # waits for the device, so the seconds below include all work of the epoch
        seconds = perf_counter() - started
        health.refuse_not_finite(ctx, bad, self.state.modules, self.folder.path)
        ctx.epoch += 1
        self.last_evaluation = self.examiner.examine(ctx) if self.examiner else None
        lr = self.optimizer.param_groups[0]["lr"]
        metrics = row(ctx, self.last_evaluation, self.generator_steps, lr, seconds)
        before = self.folder.rows[-1]["total_seconds"] if self.folder.rows else 0.0
        metrics["total_seconds"] = float(before or 0.0) + seconds
        self._call("after_epoch", metrics)
        refuse_other_than_numbers(metrics)
        self._report_if_dead(metrics)
        self.folder.save_epoch(self.state, metrics, self.generator_steps, keep=ctx.epoch in config.keep_epochs)

    def _round(self) -> None:
        ctx = self.ctx
        self._call("before_synthesis")
        with borrowed(ctx.student, ctx.device):
            ctx.student.train(self.method.student_trains)
            self.generator_steps += self.method.synthesizer.round(ctx)
        self._call("after_synthesis")
        ctx.student.train()
        for _ in range(ctx.config.round_steps):
            self._call("before_student_step")
            losses = self._student_step()
            ctx.step += 1
            self._call("before_lambda_update")
            ctx.lam = self.pace.after(losses, ctx.step)
            self._call("after_lambda_update")
        ctx.round += 1

    def _student_step(self) -> Float[Tensor, " batch"]:
        """Takes one student step; returns the losses of the global batch, which the pace lambda may follow."""
        ctx = self.ctx
        ctx.settle(self.optimizer, ctx.config.lr)
        study = self.method.store.draw(ctx)
        losses = ctx.ranks.gather(self.method.objective.losses(ctx, study))
        weighed = weigh(ctx.config.curriculum, losses, ctx.lam)
        ctx.step_down(self.optimizer, {"objective": weighed.objective}, self.method.student_clip)
        ctx.note("sample_losses", losses)
        ctx.note("sample_weights", weighed.weights)
        mine = ctx.ranks.mine
        self._call("after_student_step", Batch(study.images, mine(losses.detach()), mine(weighed.weights)))
        return losses.detach()

    def _report_if_dead(self, metrics: Row) -> None:
        line = health.why_dead(self.ctx, metrics)
        if line and not self.was_dead:
            if self.ctx.config.curriculum.on_dead == "stop":
                raise TrainingError(line)
            warnings.warn(line, stacklevel=2)
        self.was_dead = line is not None

    def _call(self, moment: str, *arguments: object) -> None:
        """Calls the callbacks of a moment. They neither see nor change the random numbers of the run."""
        if not self.callbacks[moment]:
            return
        state = self.ctx.rng.get_state()
        with self.randomness.outside():
            for callback in self.callbacks[moment]:
                getattr(callback, moment)(self.ctx, *arguments)
        self.ctx.rng.set_state(state)


def _context(
    config: DistillConfig, teacher: nn.Module, student: nn.Module, held_out: Images | None, device: torch.device
) -> Context:
    normalize = Normalize(config.mean, config.std).to(device)
    shape = fitting.shape(config, teacher, student, held_out, normalize, device)
    rng = torch.Generator(device).manual_seed(config.seed)
    ctx = Context(config, shape, device, teacher, student, normalize, rng, config.curriculum.lam_start)
    ctx.labeller = folded(teacher, ctx.probe())
    return ctx
