"""Teachers: the recipe that trains one, the card that proves it, and loading one that ships.

A teacher is a file NAME.safetensors with a card NAME.json beside it: recipe, seed, accuracies, SHA-256 of the weights,
data source and licence. A teacher whose file does not have the hash of its card is refused.
"""

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load as load_bytes
from safetensors.torch import save as save_bytes
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cudfkd import data, models
from cudfkd.errors import ConfigError, DataError, unknown
from cudfkd.evaluation import predict
from cudfkd.files import make_folder, write_bytes, write_json
from cudfkd.normalize import Normalize
from cudfkd.validation import Described


class Recipe(Described):
    """How a teacher is trained: SGD with Nesterov momentum, one cycle.

    The learning rate rises to `lr` in the first fifth of the steps and falls to almost 0; momentum goes from 0.95 to
    0.85 and back (Smith and Topin, 2018).
    """

    epochs: Annotated[int, Field(ge=1)] = 6
    """passes over the training images"""
    batch_size: Annotated[int, Field(ge=2)] = 128
    """images a step"""
    lr: Annotated[float, Field(gt=0)] = 0.1
    """highest learning rate of the one cycle"""
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    """of every parameter"""
    augment: Literal["mirror", "none"] = "mirror"
    """mirror images left to right at random, or none: for digits and other things that mirroring changes"""


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
        teacher: the architecture of one that ships; or a file that `train_teacher` wrote (weights or card).
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
        model.load_state_dict(load_bytes(content))
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


def train_teacher(
    dataset: str,
    model: str,
    seed: int = 0,
    *,
    out: Path,
    recipe: Recipe | None = None,
    data_root: str | Path | None = None,
    device: str = "cpu",
    on_epoch: Callable[[int, float, float], None] | None = None,
) -> dict:
    """Trains a teacher on the *train* split, writes weights and card to folder `out`, and returns the card.

    Arguments:
        dataset: what to train on; one of `cudfkd.data.names()`.
        model: what to train; one of `cudfkd.models.names()`.
        seed: of initial weights, order of the images and augmentation.
        out: folder for MODEL-seedN.safetensors and MODEL-seedN.json.
        recipe: how; None takes the recipe of the teachers that ship.
        data_root: where the training images are, see `cudfkd.data.load`.
        device: where to train.
        on_epoch: called after each epoch with its number (from 1), mean training loss and accuracy on *dev*.

    Raises:
        ConfigError: unknown names, or a seed that is none.
        DataError: the images cannot be found, or `out` cannot be written; both before anything is trained.
    """
    recipe = recipe or Recipe()
    if not 0 <= seed < 2**63:
        raise ConfigError(f"seed = {seed} is not allowed: it must be from 0 to 2**63 - 1")
    about = data.info(dataset)
    network = models.build(model, about.num_classes, about.channels, about.image_size, seed).to(device)
    normalize = Normalize(about.mean, about.std).to(device)
    splits = {name: data.load(dataset, name, data_root) for name in data.SPLITS}
    make_folder(out)
    pixels, labels = splits["train"].pixels.to(device), splits["train"].labels.to(device)
    rng = torch.Generator(device).manual_seed(seed)
    optimizer = torch.optim.SGD(network.parameters(), recipe.lr, 0.95, weight_decay=recipe.weight_decay, nesterov=True)
    steps = len(labels) // recipe.batch_size
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.lr, recipe.epochs * steps, pct_start=0.2)
    for epoch in range(1, recipe.epochs + 1):
        network.train()
        total = torch.zeros((), device=device)
        order = torch.randperm(len(labels), generator=rng, device=device)[: steps * recipe.batch_size]
        for batch in order.split(recipe.batch_size):
            images = data.unit(pixels[batch])
            images = flip(images, rng) if recipe.augment == "mirror" else images
            loss = cross_entropy(network(normalize(images)), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.detach()
        if on_epoch:
            on_epoch(epoch, float(total) / steps, _accuracy(network, normalize, splits["dev"], device))
    weights = save_bytes({name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()})
    card = {
        "data": dataset,
        "model": models.spec_of(network),
        "parameters": sum(p.numel() for p in network.parameters()),
        "seed": seed,
        "recipe": recipe.model_dump(),
        "accuracy": {name: _accuracy(network, normalize, splits[name], device) for name in ("dev", "test")},
        "trained_on": f"split train: {len(labels):,} images, none of dev or test",
        "sha256": sha256(weights).hexdigest(),
        "torch": torch.__version__.split("+")[0],
        "device": device,
        "data_source": about.source,
        "data_licence": about.licence,
        "licence": "MIT",
    }
    write_bytes(out / f"{model}-seed{seed}.safetensors", weights)
    write_json(out / f"{model}-seed{seed}.json", card)
    return card


def flip(images: Float[Tensor, "batch channels height width"], rng: torch.Generator) -> Tensor:
    """Each image mirrored left to right with probability 1/2."""
    mirrored = torch.rand(len(images), 1, 1, 1, generator=rng, device=images.device) < 0.5
    return torch.where(mirrored, images.flip(3), images)


def _is_file(teacher: str) -> bool:
    return "/" in teacher or "\\" in teacher or teacher.endswith((".json", ".safetensors"))


def _beside(stem: Path, ending: str) -> Path:
    return stem.with_name(stem.name + ending)  # the name itself may hold dots


def _accuracy(network: nn.Module, normalize: Normalize, dataset, device: str) -> float:
    images, labels = dataset.tensors
    logits = predict(nn.Sequential(normalize, network), images, device)
    return round(float((logits.argmax(1).cpu() == labels).double().mean()), 4)


def _shipped(dataset: str, model: str, seed: int) -> Path:
    if (dataset, model, seed) not in shipped():
        name = f"{dataset} {model} seed {seed}"
        raise ConfigError(unknown("teacher", name, (f"{d} {m} seed {s}" for d, m, s in shipped())))
    return data.ASSETS / dataset / f"{model}-seed{seed}"
