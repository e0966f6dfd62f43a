"""The evaluation at the end of each epoch."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.utils.data import Dataset

from cudfkd.boundary.images import as_tensors, check_labels
from cudfkd.data import ImageSet
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
    def of(cls, ctx: Context, dataset: Dataset | None) -> "Examiner | None":
        """Makes the examiner of a data set of (image, label); None without a data set.

        Raises:
            ConfigError: images or labels do not fit, see `cudfkd.evaluation`.
        """
        if dataset is None:
            return None
        images, labels = (dataset.pixels, dataset.labels) if isinstance(dataset, ImageSet) else as_tensors(dataset)
        check_labels(labels, ctx.shape.num_classes)
        images = images.to(ctx.device)
        logits = predict(nn.Sequential(ctx.normalize, ctx.teacher), images, ctx.device)
        return cls(images, labels.cpu(), logits.cpu())

    def examine(self, ctx: Context) -> Evaluation:
        """Compares the student with labels and teacher."""
        logits = predict(nn.Sequential(ctx.normalize, ctx.student), self.images, ctx.device)
        return compare(logits.cpu(), self.teacher_logits, self.labels)
