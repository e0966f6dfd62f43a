"""Teachers: the card that says what one is and proves it, and loading one that ships or is a file.

A teacher is a file NAME.safetensors with a card NAME.json beside it: recipe, seed, accuracies, SHA-256 of the weights,
data source and licence. A teacher whose file does not have the hash of its card is refused.
"""

import json
from hashlib import sha256
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from cudfkd import data, models
from cudfkd.base.errors import ConfigError, DataError, unknown


def load_teacher(dataset: str, model: str, seed: int = 0) -> nn.Module:
    """A teacher that ships with the package, in eval mode, its hash verified.

    Arguments:
        dataset: what it was trained on; "fashion-mnist".
        model: its architecture; "lenet5".
        seed: of its training; 0, 1 or 2.

    Raises:
        ConfigError: there is no such teacher; the line lists those that ship.
        DataError: its weights are missing or altered.
    """
    return read_teacher(_shipped(dataset, model, seed))


def locate(dataset: str, teacher: str, seed: int = 0) -> Path:
    """Where a teacher is, as the common stem of its weights and its card.

    Arguments:
        dataset: what it was trained on.
        teacher: the architecture of one that ships; or a file that `cudfkd.train_teacher` wrote (weights or card).
        seed: of the training of one that ships.

    Raises:
        ConfigError: there is no such teacher, it is a folder, or it was trained on other data.
        DataError: the file's card is missing or damaged.
    """
    if not _is_file(teacher):
        return _shipped(dataset, teacher, seed)
    if not Path(teacher).name or Path(teacher).is_dir():
        raise ConfigError(f"the teacher {teacher} is a folder: name the file of its weights")
    stem = Path(teacher.removesuffix(".json").removesuffix(".safetensors"))
    if not any(_beside(stem, ending).exists() for ending in (".json", ".safetensors")):
        raise ConfigError(f"there is no teacher {teacher}: name the file of its weights")
    trained_on = teacher_card(stem).get("data")
    if trained_on != dataset:
        raise ConfigError(f"the teacher {teacher} was trained on {trained_on}, not on {dataset}: name that data set")
    return stem


def read_teacher(stem: Path) -> nn.Module:
    """The teacher in `stem`.safetensors, after checking it against the card `stem`.json. Raises DataError."""
    card = teacher_card(stem)
    path = _beside(stem, ".safetensors")
    if not path.is_file():
        raise DataError(f"{path} is missing though its card is there: reinstall cudfkd or train it again")
    content = path.read_bytes()
    if sha256(content).hexdigest() != card["sha256"]:
        raise DataError(f"{path} is not the teacher its card describes (SHA-256 differs): reinstall or train it again")
    try:
        model = models.rebuild(card["model"])
        model.load_state_dict(load(content))
    except (SafetensorError, RuntimeError, TypeError) as error:
        raise DataError(f"{path} does not hold the network of its card: train it again") from error
    return model.eval()


def teacher_card(stem: Path) -> dict:
    """The card beside a teacher's weights. Raises DataError if it is missing or not a card."""
    path = _beside(stem, ".json")
    try:
        card = json.loads(path.read_text())
        return {name: card[name] for name in ("data", "model", "sha256")} | card
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path} is missing or not a teacher's card: reinstall cudfkd or train it again") from error


def shipped() -> list[tuple[str, str, int]]:
    """The teachers in the package: (data set, model, seed) of each."""
    found = (path.stem.rsplit("-seed", 1) + [path.parent.name] for path in data.ASSETS.glob("*/*-seed*.json"))
    return sorted((dataset, model, int(seed)) for model, seed, dataset in found)


def shipped_card(dataset: str, model: str, seed: int = 0) -> dict:
    """The card of a teacher that ships. Raises ConfigError, DataError as `load_teacher`."""
    return teacher_card(_shipped(dataset, model, seed))


def _is_file(teacher: str) -> bool:
    return "/" in teacher or "\\" in teacher or teacher.endswith((".json", ".safetensors"))


def _beside(stem: Path, ending: str) -> Path:
    return stem.with_name(stem.name + ending)  # the name itself may hold dots


def _shipped(dataset: str, model: str, seed: int) -> Path:
    if (dataset, model, seed) not in shipped():
        name = f"{dataset} {model} seed {seed}"
        if dataset in data.names() and dataset not in {there for there, _, _ in shipped()}:
            todo = f"train one (cudfkd teacher --data {dataset} --model {model}) and name its file"
            raise ConfigError(f"unknown teacher {name!r}: none ships for {dataset}, so {todo}")
        raise ConfigError(unknown("teacher", name, (f"{d} {m} seed {s}" for d, m, s in shipped())))
    return data.ASSETS / dataset / f"{model}-seed{seed}"
