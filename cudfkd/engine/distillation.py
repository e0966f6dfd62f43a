"""Distillation of a teacher into a student: arguments are checked, a run is set up, and its loop is started."""

from collections.abc import Iterable
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset

from cudfkd import methods
from cudfkd.base import process
from cudfkd.base.deadline import deadline_after
from cudfkd.base.errors import ConfigError
from cudfkd.base.files import folder_path
from cudfkd.base.out_of_memory import is_out_of_memory, what_fits
from cudfkd.base.randomness import Randomness, seeded
from cudfkd.base.ranks import Ranks
from cudfkd.boundary import networks
from cudfkd.boundary.images import Images
from cudfkd.boundary.weights import refuse_unsaveable
from cudfkd.callbacks import Callback
from cudfkd.config import DistillConfig
from cudfkd.engine import fitting
from cudfkd.engine.examiner import Examiner
from cudfkd.engine.loop import Engine
from cudfkd.engine.run import Run
from cudfkd.models import is_ours
from cudfkd.models.borrowed import borrowed
from cudfkd.models.compiling import compiling
from cudfkd.models.folding import folded
from cudfkd.models.normalize import Normalize
from cudfkd.runs.context import Context
from cudfkd.runs.folder import RunFolder, describe


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
    request = _Request(of_teacher, of_student, config, images, path, resume, watching, stop_after)
    with networks.in_use(teacher=of_teacher, student=of_student):
        run = _within_memory(request)
    return replace(run, student=student, path=None if run_dir is None else Path(run_dir))


@dataclass(frozen=True)
class _Request:
    """The arguments of `distill`, checked.

    images: images for the roles evaluate_on and train_on, as far as they are there.
    callbacks: the callbacks of the caller.
    """

    teacher: nn.Module
    student: nn.Module
    config: DistillConfig
    images: dict[str, Images]
    run_dir: Path | None = None
    resume: bool = False
    callbacks: tuple[Callback, ...] = ()
    stop_after: int | float | None = None


def _within_memory(request: _Request) -> Run:
    """Distills. If memory runs out, the error line names a batch size that fits."""
    try:
        return _distill(request)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    # At this line the error is freed, and with it the memory of the run; so trial runs of one round have room.
    config = request.config
    one_round = {"epochs": 1, "steps_per_epoch": config.round_steps, "keep_epochs": ()}

    def attempt(size: int) -> None:
        smaller = config.model_copy(update=one_round | {"batch_size": size})
        _distill(_Request(request.teacher, deepcopy(request.student), smaller, request.images))

    raise ConfigError(what_fits(config.device, config.batch_size, attempt if Ranks.here().size == 1 else None))


def _distill(request: _Request) -> Run:
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
    teacher, student, config, images = request.teacher, request.student, request.config, request.images

    # Arguments that need no device. No random numbers. The time of stop_after runs from here.
    ranks = Ranks.here()
    folder = RunFolder(request.run_dir, ranks)
    if (stop_after := request.stop_after) is not None and folder.path is None:
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
        where = {"run_dir": str(request.run_dir), "resume": request.resume}
        ranks.agree(config.model_dump(mode="json") | where)
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
        engine = Engine(ctx, method, examiner, folder, request.callbacks, randomness)

        # The folder. It comes last, so that a run that is refused above leaves no folder. `prepare` saves the start of
        # a new run, with the states of the generators after the draws above. For a resumed run it loads a checkpoint,
        # which replaces these states. No random numbers.
        stack.enter_context(folder.claimed())
        description = describe(config, student, teacher, method.modules.get("generator"), images)
        engine.prepare(description, resume=request.resume)

        # The loop. Draws: the method's random numbers, from ctx.rng; resets of weights and foreign networks, from the
        # global generators.
        if not engine.summary:
            with randomness.inside():
                engine.train(deadline)
    return Run(config, folder.rows, engine.summary, student, method.modules.get("generator"), folder.path)


def _context(
    config: DistillConfig, teacher: nn.Module, student: nn.Module, held_out: Images | None, device: torch.device
) -> Context:
    normalize = Normalize(config.mean, config.std).to(device)
    shape = fitting.shape(config, teacher, student, held_out, normalize, device)
    rng = torch.Generator(device).manual_seed(config.seed)
    ctx = Context(config, shape, device, teacher, student, normalize, rng, config.curriculum.lam_start)
    ctx.labeller = folded(teacher, ctx.probe())
    return ctx
