"""Networks of users, in the role of teacher or student: checks before any work, each with one line of error.

network     the object itself: its type, its weights, its modules
in_use      a network may serve one thread at a time
logits      an answer of the network: one row of logits for each image
"""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from cudfkd.base.errors import ConfigError
from cudfkd.base.out_of_memory import is_out_of_memory
from cudfkd.models.borrowed import modes_kept
from cudfkd.models.compiling import is_compiled

Images = Float[Tensor, "batch channels height width"]
Logits = Float[Tensor, "batch classes"]

_THREADS: dict[int, int] = {}  # thread that uses a module, by the module's id
_LOCK = threading.Lock()


def network(role: str, given: object) -> nn.Module:
    """Returns a network that can be used; of a DataParallel or DistributedDataParallel, the module inside.

    Arguments:
        role: "teacher" or "student", for the error line.
        given: the object that the user passed.

    Raises:
        ConfigError: the object is no module, or has no eval mode, or its weights are not there, or they lie on several
            devices.
    """
    if isinstance(given, type):
        raise ConfigError(f"the {role} is the class {given.__name__}: pass a network, {given.__name__}(...)")
    if not isinstance(given, nn.Module):
        name = type(given).__name__
        raise ConfigError(f"the {role} is of type {name}: it must be a torch.nn.Module that maps images to logits")
    inner: nn.Module = given
    while isinstance(inner, nn.DataParallel | DistributedDataParallel):
        inner = inner.module
    tensors = list(chain(inner.parameters(), inner.buffers()))
    if any(isinstance(tensor, UninitializedParameter | UninitializedBuffer) for tensor in tensors):
        raise ConfigError(f"the {role} has lazy layers, which have no weights yet: call it on a batch of images first")
    devices = {str(tensor.device): None for tensor in tensors}
    if "meta" in devices:
        raise ConfigError(f"the {role} has weights on the device meta, which are not there: load its weights first")
    if len(devices) > 1:
        raise ConfigError(f"the {role} lies on several devices ({', '.join(devices)}): move it to one of them first")
    _refuse_fixed_mode(role, inner)
    return inner


def refuse_unfit(teacher: nn.Module, student: nn.Module) -> None:
    """Raises ConfigError for two networks that no distillation can use together."""
    if is_compiled(teacher):
        raise ConfigError(
            "the teacher is compiled, and cannot be looked into: pass the module that it was made from"
            " (compile = 'default' compiles it for the run)"
        )
    refuse_inference("teacher", teacher)
    refuse_inference("student", student)
    if not any(parameter.requires_grad for parameter in student.parameters()):
        raise ConfigError("no parameter of the student can be trained: call student.requires_grad_() first")
    for things, of_teacher, of_student in (
        ("parameters", teacher.parameters(), student.parameters()),
        ("buffers", teacher.buffers(), student.buffers()),
        ("layers of dropout", _dropouts(teacher), _dropouts(student)),
    ):
        shared = {id(thing) for thing in of_teacher} & {id(thing) for thing in of_student}
        if shared:
            raise ConfigError(
                f"teacher and student share {len(shared)} {things}: pass copy.deepcopy(...) of one of them"
            )


def refuse_inference(role: str, given: nn.Module) -> None:
    """Raises ConfigError for a network made in inference mode: its weights can neither change nor pass gradients."""
    if any(tensor.is_inference() for tensor in chain(given.parameters(), given.buffers())):
        raise ConfigError(
            f"the {role} was made under torch.inference_mode, so its weights cannot change and no gradient passes"
            " through it: pass copy.deepcopy(...) of it, made outside"
        )


@contextmanager
def in_use(**networks: nn.Module) -> Iterator[None]:
    """Reserves networks for this thread, for a block: a second thread would find them in another mode.

    Arguments:
        networks: networks by role.

    Raises:
        ConfigError: another thread uses a part of a network.
    """
    here, reserved = threading.get_ident(), set()
    try:
        with _LOCK:
            for role, used in networks.items():
                modules = {id(module) for module in used.modules()}
                if any(_THREADS.get(module, here) != here for module in modules):
                    raise ConfigError(f"the {role} is in use in another thread: pass copy.deepcopy(...) of it")
                reserved |= modules - _THREADS.keys()
                _THREADS.update(dict.fromkeys(modules, here))
        yield
    finally:
        with _LOCK:
            for module in reserved:
                _THREADS.pop(module, None)


def logits(role: str, used: nn.Module, images: Images) -> Logits:
    """Computes a network's logits of some images, in its present mode.

    Raises:
        ConfigError: the network does not take the images, or gives something other than one row of logits an image.
    """
    try:
        answer = used(images)
    except Exception as error:  # a foreign network may raise anything
        if is_out_of_memory(error):
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        formats = {str(p.dtype) for p in used.parameters() if p.is_floating_point()} - {str(images.dtype)}
        remedy = f"; images are {images.dtype}, it has weights of {', '.join(sorted(formats))}" if formats else ""
        raise ConfigError(
            f"the {role} does not take images of shape {tuple(images.shape[1:])}: {reason}{remedy}"
        ) from error
    return _refuse_other(role, answer, len(images))


def refuse_train_mode(role: str, used: nn.Module) -> None:
    """Raises ConfigError if a part of a network is in train mode after `eval()`."""
    if any(module.training for module in used.modules()):
        raise ConfigError(f"the {role} stays in train mode when eval() is called: all its modules must follow eval()")


def refuse_not_finite(role: str, answer: Logits) -> None:
    """Raises ConfigError if logits of ordinary images are not finite."""
    if not bool(answer.isfinite().all()):
        raise ConfigError(f"the {role}'s logits are not finite: look for NaN or infinity in its weights")


def warn_of_probabilities(role: str, answer: Logits) -> None:
    """Warns if every row of the logits is a distribution, as after softmax or log-softmax."""
    rows = answer.detach().double()
    kind = None
    if bool((rows >= 0).all()) and _are_ones(rows.sum(1)):
        kind = "probabilities, as after softmax"
    elif bool((rows <= 0).all()) and _are_ones(rows.exp().sum(1)):
        kind = "log-probabilities, as after log-softmax"
    if kind:
        warnings.warn(f"the {role} gives {kind}: losses and loyalty need logits, so take that layer off", stacklevel=2)


def _refuse_fixed_mode(role: str, given: nn.Module) -> None:
    """Raises ConfigError if `eval()` fails, as for programs of `torch.export`."""
    try:
        with modes_kept(given):
            given.eval()
    except Exception as error:  # a foreign network may raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(f"the {role} has no eval mode ({reason}): pass the module that it was made from") from error


def _are_ones(sums: Tensor) -> bool:
    return bool(((sums - 1).abs() < 1e-3).all())


def _refuse_other(role: str, answer: Any, n: int) -> Tensor:
    """Returns an answer of a network to n images if it is logits. Raises ConfigError if it is anything else."""
    if not isinstance(answer, Tensor):
        wrap = "so wrap it in a module that does"
        raise ConfigError(f"the {role} returns a {type(answer).__name__}: it must return logits alone, {wrap}")
    if answer.ndim != 2 or len(answer) != n or not answer.is_floating_point():
        kind = "a tensor" if answer.is_floating_point() else f"a tensor of {answer.dtype}"
        raise ConfigError(
            f"the {role} returns {kind} of shape {tuple(answer.shape)} for {n} images: it must be floats of shape"
            " (batch, classes)"
        )
    if answer.shape[1] < 2:
        raise ConfigError(f"the {role} gives one logit an image: it must give one for each class, 2 or more")
    return answer


def _dropouts(used: nn.Module) -> Iterator[nn.Module]:
    return (module for module in used.modules() if isinstance(module, nn.modules.dropout._DropoutNd))
