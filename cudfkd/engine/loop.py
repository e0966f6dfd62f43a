"""The loop of a run: rounds of synthesis and student steps, until the run is over. It knows no method by name."""

import warnings
from time import perf_counter

import torch
from jaxtyping import Float
from torch import Tensor

from cudfkd.base.errors import TrainingError
from cudfkd.base.randomness import Randomness
from cudfkd.callbacks import Batch, Callback
from cudfkd.curriculum import Pace, weigh
from cudfkd.engine import fitting, health
from cudfkd.engine.average import StudentAverage
from cudfkd.engine.examiner import Examiner
from cudfkd.evaluation import Evaluation
from cudfkd.methods.parts.contract import Method
from cudfkd.models.borrowed import borrowed
from cudfkd.runs.checkpoint import State
from cudfkd.runs.context import Context
from cudfkd.runs.folder import RunFolder
from cudfkd.runs.log import EpochLog
from cudfkd.runs.metrics import Row, refuse_other_than_numbers, row


class Engine:
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
        self.average = StudentAverage(ctx) if config.average else None
        averaging = {"average": self.average.module} if self.average else {}
        self.state = State(
            {"student": ctx.student, **method.modules},
            {"student": self.optimizer, **method.optimizers},
            ctx.rng,
            randomness,
            {**method.memory, "pace": self.pace, **averaging},
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
        if self.average:
            self.average.settle(ctx)
        self._call("after_run")
        if self.examiner and self.last_evaluation is None:  # the run was resumed after its last epoch
            self.last_evaluation = self.examiner.examine(ctx, ctx.student)
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
        student = self.average.student(ctx) if self.average else ctx.student
        self.last_evaluation = self.examiner.examine(ctx, student) if self.examiner else None
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
            if self.average:
                self.average.after_step(ctx)
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
        """Calls the callbacks of a moment. They neither see nor change the random numbers of the run.

        Images that the teacher sees for them are no queries of the method.
        """
        if not self.callbacks[moment]:
            return
        state, queries = self.ctx.rng.get_state(), self.ctx.log.teacher_images
        with self.randomness.outside():
            for callback in self.callbacks[moment]:
                getattr(callback, moment)(self.ctx, *arguments)
        self.ctx.rng.set_state(state)
        self.ctx.log.teacher_images = queries
