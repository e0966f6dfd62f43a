"""The average of the student's weights over the last steps of a run."""

from torch import nn
from torch.optim.swa_utils import AveragedModel

from cudfkd.runs.context import Context


class StudentAverage:
    """Averages weights and BatchNorm statistics of the student, all steps alike, from step (1 - average) K on.

    K is the number of student steps of the run (stochastic weight averaging, Izmailov et al., 2018, with the statistics
    averaged as the weights are, because a data-free student has no images to measure them on).

    module: the average, with its count of steps, for checkpoints.
    """

    def __init__(self, ctx: Context) -> None:
        self.module = AveragedModel(ctx.student, use_buffers=True)
        self._from = (1 - ctx.config.average) * ctx.config.total_steps

    def after_step(self, ctx: Context) -> None:
        """Takes the student after a step into the average, if the run is late enough. `ctx.step` counts this step."""
        if ctx.step > self._from:
            self.module.update_parameters(ctx.student)

    def student(self, ctx: Context) -> nn.Module:
        """The student to evaluate: the average, or the student itself while there is no average."""
        return self.module.module if self.module.n_averaged > 0 else ctx.student

    def settle(self, ctx: Context) -> None:
        """Gives the student the averaged weights, at the end of the run."""
        ctx.student.load_state_dict(self.module.module.state_dict())
