"""The engine: rounds of synthesis and study, until the run is over. It knows no method by name."""

import warnings
from collections.abc import Iterable
from contextlib import ExitStack
from copy import deepcopy
from pathlib import Path
from time import perf_counter

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.data import Dataset

from cudfkd import methods
from cudfkd.base.deadline import deadline_after
from cudfkd.base.errors import ConfigError, TrainingError
from cudfkd.base.out_of_memory import is_out_of_memory, what_fits
from cudfkd.base.ranks import Ranks
from cudfkd.callbacks import Batch, Callback
from cudfkd.config import DistillConfig
from cudfkd.curriculum import Pace, weigh
from cudfkd.engine import fitting, health
from cudfkd.engine.examiner import Examiner
from cudfkd.engine.run import Run
from cudfkd.evaluation import Evaluation
from cudfkd.methods.parts.contract import Method
from cudfkd.models.borrowed import borrowed
from cudfkd.models.compiling import compiling
from cudfkd.models.folding import folded
from cudfkd.models.normalize import Normalize
from cudfkd.runs.checkpoint import State
from cudfkd.runs.context import Context
from cudfkd.runs.folder import RunFolder, describe
from cudfkd.runs.log import EpochLog
from cudfkd.runs.metrics import Row, refuse_other_than_numbers, row


def distill(
    teacher: nn.Module,
    student: nn.Module,
    config: DistillConfig = DistillConfig(),
    *,
    evaluate_on: Dataset | None = None,
    run_dir: str | Path | None = None,
    resume: bool = False,
    callbacks: Iterable[Callback] = (),
    stop_after: int | float | None = None,
    train_on: Dataset | None = None,
) -> Run:
    """Distills a teacher into a student without data.

    Where torch.distributed has a process group, each of its processes calls this alike, and they share the run: see
    `cudfkd.base.ranks`. Rank 0 reads and writes the folder, and the student starts as it is there.

    Arguments:
        teacher: maps normalised images (batch, channels, size, size) to logits (batch, classes). It is given back as it
            came: modes, requires_grad, hooks, device.
        student: likewise; trained in place, and left in eval mode on the config's device.
        config: what to do.
        evaluate_on: held-out pairs of (image in [0, 1], label). Looked at after each epoch, never trained on.
        run_dir: folder for the run; None writes nothing.
        resume: go on from the checkpoint in run_dir, if there is one; on the CPU the result is the same to the bit.
            Of a finished run, only load the result.
        callbacks: what watches the run, see `cudfkd.callbacks`.
        stop_after: minutes; end at the last checkpoint before they are over, but not before one epoch. The run that is
            returned has an empty summary then, and resume goes on with it.
        train_on: pairs of (image in [0, 1], label) for the references that study real images, and for no other method.

    Raises:
        ConfigError: networks, data and config do not fit together, or run_dir holds another run or is in use.
        DataError: run_dir cannot be written or is damaged.
        TrainingError: a loss was not finite, the curriculum is dead or a rank was lost; the last good checkpoint is
            kept.
    """
    fitting.refuse_unfit(teacher, student)
    try:
        return _distill(teacher, student, config, evaluate_on, run_dir, resume, tuple(callbacks), stop_after, train_on)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    # here the error is gone, and with it what the run held
    one_round = {"epochs": 1, "steps_per_epoch": config.round_steps, "keep_epochs": ()}

    def attempt(size: int) -> None:
        smaller = config.model_copy(update=one_round | {"batch_size": size})
        _distill(teacher, deepcopy(student), smaller, evaluate_on, None, False, (), None, train_on)

    raise ConfigError(what_fits(config.device, config.batch_size, attempt if Ranks.here().size == 1 else None))


def _distill(
    teacher: nn.Module,
    student: nn.Module,
    config: DistillConfig,
    evaluate_on: Dataset | None,
    run_dir: str | Path | None,
    resume: bool,
    callbacks: tuple[Callback, ...],
    stop_after: int | float | None,
    train_on: Dataset | None,
) -> Run:
    ranks = Ranks.here()
    folder = RunFolder(Path(run_dir) if run_dir is not None else None, ranks)
    if stop_after is not None and folder.path is None:
        raise ConfigError(f"stop_after = {stop_after!r} needs run_dir: without a folder there is nothing to go on from")
    deadline = deadline_after(stop_after)
    with ExitStack() as stack:
        stack.enter_context(ranks.watched(folder.path))
        if config.compile != "off":
            stack.enter_context(compiling())
        if ranks.size > 1 and config.device == "cuda":  # on which NCCL sends all that the ranks say
            stack.enter_context(torch.cuda.device(ranks.device(config.device)))
        ranks.agree(config.model_dump(mode="json") | {"run_dir": str(run_dir), "resume": resume})
        fitting.refuse_ranks(config, student, ranks)
        device = ranks.device(config.device)
        stack.enter_context(torch.random.fork_rng(devices=[device] if device.type == "cuda" else []))
        _seed(config.seed, device)
        stack.enter_context(borrowed(teacher, device))
        ranks.agree({name: list(tensor.shape) for name, tensor in student.state_dict().items()})
        ranks.follow(student.to(device))
        ctx = _context(config, teacher, student, evaluate_on, device)
        ctx.ranks = ranks
        ctx.training = fitting.training_images(ctx, train_on)
        method = methods.get(config.method).build(config.options, ctx)
        ctx.modules = method.modules
        engine = _Engine(ctx, method, Examiner.of(ctx, evaluate_on), folder, callbacks)
        stack.enter_context(folder.claimed())
        engine.prepare(describe(config, student, teacher, method.modules.get("generator")), resume=resume)
        engine.train(deadline)
    return Run(config, folder.rows, engine.summary, student, method.modules.get("generator"), folder.path)


class _Engine:
    """Owns the loop. `ctx` is the run's state as others see it."""

    def __init__(
        self, ctx: Context, method: Method, examiner: Examiner | None, folder: RunFolder, callbacks: tuple
    ) -> None:
        self.ctx, self.method, self.examiner, self.folder, self.callbacks = ctx, method, examiner, folder, callbacks
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
            {**method.memory, "pace": self.pace},
        )
        self.generator_steps = 0
        self.last_evaluation: Evaluation | None = None
        self.was_dead = False
        self.summary: dict = {}  # of a finished run

    def prepare(self, description: dict, *, resume: bool) -> None:
        """Opens the run folder, and goes back to what is there to be resumed."""
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
        """Trains to the end, or to the last epoch that is expected to end before `deadline` (of `perf_counter`)."""
        if self.summary:
            return
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
        if self.examiner and self.last_evaluation is None:  # resumed after its last epoch
            self.last_evaluation = self.examiner.examine(ctx)
        self.summary = self._summary()
        self.folder.finish(self.state, self.summary, ctx.device)

    def _rest(self) -> None:
        """Leaves all networks of the run in eval mode."""
        for network in self.state.modules.values():
            network.eval()

    def _summary(self) -> dict:
        """The student of the result is the last one; the best epoch stands beside it under its own name."""
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
        bad = ctx.log.not_finite()  # waits for the device, so that the seconds are the epoch's
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
        """One step of the student; returns the losses of the global batch, which lambda may follow."""
        ctx = self.ctx
        ctx.settle(self.optimizer, ctx.config.lr)
        study = self.method.store.draw(ctx)
        losses = ctx.ranks.gather(self.method.objective.losses(ctx, study))
        weighed = weigh(ctx.config.curriculum, losses, ctx.lam)
        ctx.step_down(self.optimizer, {"objective": weighed.objective})
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
        for callback in self.callbacks:
            getattr(callback, moment)(self.ctx, *arguments)


def _seed(seed: int, device: torch.device) -> None:
    """Seeds the global generators that the run uses, and no others: those of the CPU and of its device."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


def _context(
    config: DistillConfig, teacher: nn.Module, student: nn.Module, evaluate_on: Dataset | None, device: torch.device
) -> Context:
    normalize = Normalize(config.mean, config.std).to(device)
    shape = fitting.shape(config, teacher, student, evaluate_on, normalize, device)
    rng = torch.Generator(device).manual_seed(config.seed)
    ctx = Context(config, shape, device, teacher, student, normalize, rng, config.curriculum.lam_start)
    ctx.labeller = folded(teacher, ctx.probe())
    return ctx
