"""Trials of a teacher and a student before a run: forward passes on noise, in the modes in which the run uses them."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cudfkd.base.errors import ConfigError
from cudfkd.boundary import networks
from cudfkd.models.borrowed import modes_kept


def try_teacher(teacher: nn.Module, probe: networks.Images, *, gradient: bool) -> int:
    """Looks at a teacher's logits of noise; returns the number of classes. The teacher is frozen and in eval mode.

    Warns if the logits are probabilities, or if they differ between two passes.

    Arguments:
        teacher: the network.
        probe: normalised images of noise.
        gradient: the run learns images through the teacher, so a gradient must reach them.

    Raises:
        ConfigError: as `networks.logits`; or the teacher stays in train mode, its logits are not finite, or no
            gradient reaches the images.
    """
    networks.refuse_train_mode("teacher", teacher)
    images = probe.clone().requires_grad_(gradient)
    t = networks.logits("teacher", teacher, images.clone())  # a copy, as networks may change their input in place
    networks.refuse_not_finite("teacher", t)
    if gradient and not _reaches(t, images):
        raise ConfigError(
            "no gradient reaches the images through the teacher, so none can be made: its forward pass must not be"
            " under torch.no_grad, nor detach or round"
        )
    with torch.no_grad():
        again = networks.logits("teacher", teacher, probe.clone())
    if not torch.allclose(t.detach(), again, rtol=1e-3, atol=1e-5 * float(t.detach().abs().max())):
        warnings.warn(
            "the teacher's logits of one image differ between two passes in eval mode, so the student learns from"
            " noise: turn off what is random in it",
            stacklevel=2,
        )
    networks.warn_of_probabilities("teacher", again)
    return t.shape[1]


def try_student(student: nn.Module, probe: networks.Images, *, gradient: bool) -> int:
    """Looks at a student's logits of noise, in eval mode and in train mode; returns the number of classes.

    The student's modes, and its statistics, are afterwards as before. Warns if the logits are probabilities, or if the
    generator gets no gradient through the student.

    Arguments:
        student: the network.
        probe: normalised images of noise.
        gradient: the run learns images, some methods also through the student.

    Raises:
        ConfigError: as `networks.logits`, in either mode; or no gradient reaches the student's parameters, or its
            modes differ in their classes.
    """
    student = getattr(student, "_orig_mod", student)  # to compile it for this batch would take a minute
    with _as_it_was(student):
        student.eval()
        networks.refuse_train_mode("student", student)
        images = probe.clone().requires_grad_(gradient)
        still = networks.logits("student", student, images.clone())
        if gradient and not still.requires_grad:
            warnings.warn(
                "no gradient reaches the images through the student in eval mode: an adversarial term does not feel"
                " the student",
                stacklevel=2,
            )
        student.train()
        moving = networks.logits("student in train mode", student, probe.clone())
        if not _learns(student, moving):
            raise ConfigError(
                "no gradient reaches the student's parameters in train mode: its forward pass must not be under"
                " torch.no_grad, nor detach its output"
            )
    if still.shape != moving.shape:
        raise ConfigError(
            f"the student has {still.shape[1]} classes in eval mode, {moving.shape[1]} in train mode: they must agree"
        )
    networks.refuse_not_finite("student", still)
    networks.warn_of_probabilities("student", still)
    return still.shape[1]


@contextmanager
def _as_it_was(used: nn.Module) -> Iterator[None]:
    """Gives a network its modes and the values of its buffers back at the end of a block."""
    values = [(buffer, buffer.detach().clone()) for buffer in used.buffers()]
    try:
        with modes_kept(used):
            yield
    finally:
        with torch.no_grad():
            for buffer, value in values:
                buffer.copy_(value)


def _reaches(answer: Tensor, images: Tensor) -> bool:
    """Whether a gradient of the answer reaches the images. It is 0 only if the images make no difference."""
    if not answer.requires_grad:
        return False
    direction = torch.linspace(-1, 1, answer.numel(), device=answer.device, dtype=answer.dtype).view_as(answer)
    answer.backward(direction)  # torch.autograd.grad would fail under torch's counters of operations
    return images.grad is not None and (bool(images.grad.any()) or bool(torch.equal(answer[0], answer[1])))


def _learns(student: nn.Module, answer: Tensor) -> bool:
    """Whether a gradient of the answer reaches a parameter of the student."""
    if not answer.requires_grad:
        return False
    before = [(parameter, parameter.grad) for parameter in student.parameters()]
    for parameter, _ in before:
        parameter.grad = None
    answer.backward(torch.ones_like(answer))
    learns = any(parameter.grad is not None for parameter, _ in before)
    for parameter, gradient in before:
        parameter.grad = gradient
    return learns
