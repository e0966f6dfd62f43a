"""Teachers and folders of images: what must fit, and which mean and std a run takes.

A folder has no name that a card could repeat. So a teacher fits a folder if both have the same classes, in the same
order, and images of one shape. Normalisation belongs to the teacher: its card, or the named data set of its training,
says mean and std.
"""

from typing import Any

from cudfkd import data
from cudfkd.base.errors import ConfigError
from cudfkd.data import DataInfo, FolderInfo


def facts(about: DataInfo) -> dict[str, Any]:
    """Facts about a folder of images for the card of a teacher, which then needs no folder later; {} for named data."""
    if not isinstance(about, FolderInfo):
        return {}
    return {
        "data_sha256": about.sha256, "classes": list(about.classes), "mean": list(about.mean), "std": list(about.std),
    }  # fmt: skip


def normalisation(card: dict[str, Any], dataset: str, about: DataInfo) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns mean and std with which a teacher looks at images of a data set.

    Arguments:
        card: card of the teacher, see `cudfkd.teachers.named_card`.
        dataset: name or folder of the images.
        about: facts of this data set.

    Raises:
        ConfigError: the teacher has no card that says mean and std, and the folder has no split train.
    """
    if not isinstance(about, FolderInfo):
        return about.mean, about.std
    if card.get("mean") and card.get("std"):
        return tuple(card["mean"]), tuple(card["std"])
    if card["data"] in data.names():
        of_training = data.info(card["data"])
        return of_training.mean, of_training.std
    if not about.mean:
        raise ConfigError(
            f"mean and std are unknown: {dataset} has no train/ to compute them from, so give the numbers of the"
            " teacher's training (--mean, --std)"
        )
    return about.mean, about.std


def refuse_misfit(teacher: str, card: dict[str, Any], dataset: str, about: DataInfo) -> None:
    """Raises ConfigError if a teacher with a card has other classes than a folder, or takes other images."""
    classes, names = card.get("classes") or [], list(about.classes)
    if card["data"] in data.names():  # folders of a published set have its names, with `_` or spaces
        published = data.info(card["data"]).classes
        classes, names = ([name.replace(" ", "_") for name in originals] for originals in (published, names))
    if classes != names:
        lacking = next((name for name in names if name not in classes), None)
        lacking = lacking or next((name for name in classes if name not in names), "none, in another order")
        raise ConfigError(
            f"the teacher {teacher} was trained on other classes than {dataset} has (first difference: {lacking}): name"
            " a teacher of these classes"
        )
    model = card["model"]
    takes = model.get("channels"), model.get("image_size")
    if takes != (about.channels, about.image_size):
        raise ConfigError(
            f"the teacher {teacher} takes {takes[0]} x {takes[1]} x {takes[1]} (channels and pixels), and {dataset} has"
            f" {about.channels} x {about.image_size} x {about.image_size}: bring its images to that size"
            " (--image-size) and colour"
        )
