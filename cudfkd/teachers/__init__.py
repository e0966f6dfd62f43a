"""Teachers: reading of a teacher that ships with the package or that is a file, and of the card that describes it.

A teacher is a file NAME.safetensors with a card NAME.json in the same folder. The card holds recipe, seed, accuracies,
SHA-256 of the weights, data source and licence. If the file does not have the SHA-256 of its card, it is refused.
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
    """Loads a teacher that ships with the package, in eval mode, after a check of its hash.

    Arguments:
        dataset: data set of its training; "fashion-mnist".
        model: its architecture; "lenet5".
        seed: seed of its training; 0, 1 or 2.

    Raises:
        ConfigError: no teacher with these arguments ships; the line lists all teachers that ship.
        DataError: its weights are missing or altered.
    """
    return read_teacher(_shipped(dataset, model, seed))


def locate(dataset: str, teacher: str, seed: int = 0) -> Path:
    """Returns the path of a teacher without file ending, the common stem of its weights and its card.

    Arguments:
        dataset: data set of its training.
        teacher: architecture of a teacher that ships, or a file that `cudfkd.train_teacher` wrote (weights or card).
        seed: seed of its training, for a teacher that ships.

    Raises:
        ConfigError: the teacher does not exist, is a folder, or was trained on a different data set.
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
    """Loads the teacher in `stem`.safetensors, in eval mode, after a check against its card `stem`.json.

    Raises:
        DataError: card or weights are missing, damaged or do not belong together.
    """
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
    """Reads the card of a teacher. Raises DataError if it is missing or is not a card."""
    path = _beside(stem, ".json")
    try:
        card = json.loads(path.read_text())
        return {name: card[name] for name in ("data", "model", "sha256")} | card
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path} is missing or not a teacher's card: reinstall cudfkd or train it again") from error


def shipped() -> list[tuple[str, str, int]]:
    """Lists the teachers in the package as (data set, model, seed)."""
    names = (path.stem.rsplit("-seed", 1) + [path.parent.name] for path in data.ASSETS.glob("*/*-seed*.json"))
    return sorted((dataset, model, int(seed)) for model, seed, dataset in names)


def shipped_card(dataset: str, model: str, seed: int = 0) -> dict:
    """Reads the card of a teacher that ships. Raises ConfigError and DataError as `load_teacher`."""
    return teacher_card(_shipped(dataset, model, seed))


def _is_file(teacher: str) -> bool:
    return "/" in teacher or "\\" in teacher or teacher.endswith((".json", ".safetensors"))


def _beside(stem: Path, ending: str) -> Path:
    return stem.with_name(stem.name + ending)  # with_suffix would cut a name that contains dots


def _shipped(dataset: str, model: str, seed: int) -> Path:
    if (dataset, model, seed) not in shipped():
        name = f"{dataset} {model} seed {seed}"
        if dataset in data.names() and dataset not in {with_teacher for with_teacher, _, _ in shipped()}:
            todo = f"train one (cudfkd teacher --data {dataset} --model {model}) and name its file"
            raise ConfigError(f"unknown teacher {name!r}: none ships for {dataset}, so {todo}")
        raise ConfigError(unknown("teacher", name, (f"{d} {m} seed {s}" for d, m, s in shipped())))
    return data.ASSETS / dataset / f"{model}-seed{seed}"
