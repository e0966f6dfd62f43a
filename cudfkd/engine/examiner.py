"""The evaluation at the end of each epoch."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.utils.data import Dataset

from cudfkd.data import ImageSet
from cudfkd.data.foreign import as_tensors, check_labels
from cudfkd.evaluation import Evaluation, compare, predict
from cudfkd.runs.context import Context


@dataclass
class Examiner:
    """Held-out images on the device, as bytes where they came as such.

    Labels and the teacher's logits are on the host, where scores are computed: not every device has float64.
    """

    images: Tensor
    labels: Tensor
    teacher_logits: Tensor

    @classmethod
    def of(cls, ctx: Context, dataset: Dataset | None) -> "Examiner | None":
        """Of pairs of image and label. Raises ConfigError where they do not fit, see `cudfkd.evaluation`."""
        if dataset is None:
            return None
        images, labels = (dataset.pixels, dataset.labels) if isinstance(dataset, ImageSet) else as_tensors(dataset)
        check_labels(labels, ctx.shape.num_classes)
        images = images.to(ctx.device)
        logits = predict(nn.Sequential(ctx.normalize, ctx.teacher), images, ctx.device)
        return cls(images, labels.cpu(), logits.cpu())

    def examine(self, ctx: Context) -> Evaluation:
        """The student against labels and teacher."""
        logits = predict(nn.Sequential(ctx.normalize, ctx.student), self.images, ctx.device)
        return compare(logits.cpu(), self.teacher_logits, self.labels)
