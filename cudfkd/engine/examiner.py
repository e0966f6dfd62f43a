"""The evaluation at the end of each epoch."""

from dataclasses import dataclass

from torch import Tensor, nn

from cudfkd.base.randomness import seeded
from cudfkd.boundary.images import Images, check_labels
from cudfkd.evaluation import Evaluation, compare, predict
from cudfkd.runs.context import Context


@dataclass
class Examiner:
    """Held-out images, with all that the evaluation of a student needs.

    Scores are computed on the host, because some devices have no float64.

    images: images on the device; bytes if the data set gives bytes.
    labels: label of each image, on the host.
    teacher_logits: the teacher's logits of the images, on the host.
    """

    images: Tensor
    labels: Tensor
    teacher_logits: Tensor

    @classmethod
    def of(cls, ctx: Context, held_out: Images | None) -> "Examiner | None":
        """Makes the examiner of held-out images; None without images.

        Raises:
            ConfigError: a label is not a class of the teacher.
        """
        if held_out is None:
            return None
        check_labels(held_out.labels, ctx.shape.num_classes)
        images = held_out.pixels.to(ctx.device)
        with seeded(ctx.config.seed, ctx.device):
            logits = predict(ctx.teacher, images, ctx.device, normalize=ctx.normalize, role="teacher")
        return cls(images, held_out.labels, logits.cpu())

    def examine(self, ctx: Context, student: nn.Module) -> Evaluation:
        """Compares a student with labels and teacher. The random numbers of the run stay as they are."""
        with seeded(ctx.config.seed, ctx.device):
            logits = predict(student, self.images, ctx.device, normalize=ctx.normalize, role="student")
        return compare(logits.cpu(), self.teacher_logits, self.labels)
