"""Teachers from outside: files of plain weights without a card. The user names the architecture."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from cudfkd import data, models
from cudfkd.base.errors import ConfigError
from cudfkd.boundary.weights import matched, read_weights
from cudfkd.runs.fingerprint import fingerprint


def read(path: Path, arch: str, dataset: str, image_size: int | None = None) -> nn.Module:
    """Builds a network for a data set, with the weights of a file, in eval mode. image_size: see `cudfkd.data.load`.

    Raises:
        ConfigError: an unknown architecture or data set, or the weights belong to another network.
        DataError: the file cannot be read, is damaged, would run code or holds no weights.
    """
    about = data.info(dataset, image_size)
    network = models.build(arch, about.num_classes, about.channels, about.image_size)
    weights = matched(network, _inside(network, read_weights(path)))
    if differences := _differences(network, weights):
        more = f", and {len(differences) - 2} more" if len(differences) > 2 else ""
        shown = "; ".join(differences[:2]) + more
        todo = "name the architecture and the data set of its training"
        raise ConfigError(f"{path} does not hold the weights of {arch} for {dataset} ({shown}): {todo}")
    network.load_state_dict(weights)
    return network.eval()


def card(path: Path, arch: str, dataset: str, image_size: int | None = None) -> dict[str, Any]:
    """Describes a teacher from outside as a card does, by `data`, `model` and `sha256`, the network's fingerprint.

    The fingerprint belongs to the weights, not to the file's place or format. Raises as `read`.
    """
    about, shape = path.stat(), data.info(dataset, image_size)
    version = about.st_mtime_ns, about.st_size, getattr(shape, "sha256", "")
    return dict(_card(path, arch, dataset, image_size, version))


@lru_cache(maxsize=16)
def _card(
    path: Path,
    arch: str,
    dataset: str,
    image_size: int | None,
    version: tuple[int, int, str],  # noqa: ARG001
) -> dict[str, Any]:
    """The card of one version of a file, and of a folder of images: the runs of a grid ask for it again and again."""
    network = read(path, arch, dataset, image_size)
    return {"data": dataset, "model": models.spec_of(network), "sha256": fingerprint(network)}


def _inside(network: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Takes off what all names begin with, such as `model.` of a Lightning module, unless the network has it, too."""
    tops = {name.split(".")[0] for name in network.state_dict()}
    while len(firsts := {name.split(".")[0] for name in weights}) == 1 and not firsts <= tops:
        shorter = {name.partition(".")[2]: weight for name, weight in weights.items()}
        if "" in shorter:
            break
        weights = shorter
    return weights


def _differences(network: nn.Module, weights: dict[str, Tensor]) -> list[str]:
    """Says which weights of a network are missing, have another shape, or are not its own.

    The counters of BatchNorm may be missing: the first versions of torch did not save them.
    """
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    shapes_in_file = {name: tuple(value.shape) for name, value in weights.items()}
    counters = {name for name in shapes if name.endswith("num_batches_tracked")}
    return [
        *(f"{name} has shape {shapes_in_file[name]}, not {shapes[name]}" for name in shapes
          if name in shapes_in_file and shapes_in_file[name] != shapes[name]),
        *(f"{name} is missing" for name in shapes if name not in shapes_in_file and name not in counters),
        *(f"{name} is not part of it" for name in shapes_in_file if name not in shapes),
    ]  # fmt: skip
