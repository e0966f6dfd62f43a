"""The processes ("ranks") that share a run, and all their messages. No other module uses torch.distributed.

A run on several ranks equals the run on a single rank. Every rank holds the same networks, optimizers and random
generators, draws the latents of the global batch, and works on its own equal share of them. Some quantities are no
means over samples: class entropy, BatchNorm moments, the curriculum. For these the ranks join their tensors, through a
gather that is differentiable:

    Let loss_j be the loss on rank j, and theta_i the copy of the parameters on rank i. The gather's backward pass sums
    the gradients of all ranks, so rank i's gradient is d(sum_j loss_j)/d(theta_i). DistributedDataParallel takes the
    mean over ranks, and by the chain rule mean_i d(sum_j loss_j)/d(theta_i) = d(mean_j loss_j)/d(theta).

So loss_j may be the mean over the rank's samples, or a function of the global batch that all ranks compute alike.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from inspect import signature
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from cudfkd.base import devices
from cudfkd.base.batch_norm import GlobalBatchNorm
from cudfkd.base.errors import ConfigError, CudfkdError, TrainingError
from cudfkd.base.out_of_memory import is_out_of_memory
from cudfkd.base.validation import difference

# The ranks' buffers are equal at all times and need no message. torch 2.15 gave the option a second name.
_BUFFERS = ("forward_sync_buffers", "broadcast_buffers")
_BUFFERS_STAY: dict[str, Any] = {next(n for n in _BUFFERS if n in signature(DistributedDataParallel).parameters): False}
PATIENCE = timedelta(seconds=45)  # time that a rank waits for an answer before it counts another rank as lost

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """The place of this process among the processes that share a run. With a single process, no method sends anything.

    rank: number of this process, from 0.
    size: number of processes.
    """

    rank: int = 0
    size: int = 1
    _parallel: dict[nn.Module, nn.Module] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def here(cls) -> "Ranks":
        """Returns this process's place in the default process group of torch.distributed; `ALONE` without a group."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return ALONE
        return cls(distributed.get_rank(), distributed.get_world_size())

    @property
    def leads(self) -> bool:
        """Whether this is rank 0, which alone writes files and prints."""
        return self.rank == 0

    def mine(self, x: Tensor) -> Tensor:
        """Returns this rank's share of a tensor of the global batch: an equal block of rows, in the order of ranks."""
        return x if self.size == 1 else x.tensor_split(self.size)[self.rank]

    def gather(self, x: Tensor) -> Tensor:
        """Joins the tensors of all ranks, of equal shapes, along dimension 0; differentiable (see the module)."""
        if self.size == 1:
            return x
        slots = x.new_zeros(self.size, *x.shape)
        slots[self.rank] = x
        return _Sum.apply(slots).flatten(0, 1)

    def means(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Returns the mean over ranks of each tensor; differentiable, a single message for all tensors."""
        if self.size == 1:
            return tensors
        flat = _Sum.apply(torch.cat([x.flatten() for x in tensors])) / self.size
        return tuple(y.view_as(x) for y, x in zip(flat.split([x.numel() for x in tensors]), tensors, strict=True))

    def run(self, network: nn.Module, x: Tensor) -> Any:
        """Computes network(x), with moments of the global batch in BatchNorm layers and gradients averaged over ranks.

        Any further layer of a foreign network that mixes samples sees this rank's samples only.
        """
        if self.size == 1:
            return network(x)
        with GlobalBatchNorm(self.gather):
            return self._learning(network)(x)

    def lead(self, act: Callable[[], T]) -> T:
        """Calls `act` on rank 0 only; all ranks return its result. If it raises a CudfkdError, all ranks raise it."""
        if self.size == 1:
            return act()
        outcome: list[Any] = [None, None]  # result, error
        if self.leads:
            try:
                outcome[0] = act()
            except CudfkdError as error:
                outcome[1] = error
        distributed.broadcast_object_list(outcome)
        if outcome[1] is not None:
            raise outcome[1]
        return outcome[0]

    def follow(self, network: nn.Module) -> None:
        """Copies the network's parameters and buffers from rank 0 to all ranks."""
        if self.size == 1:
            return
        state = self.lead(lambda: {name: tensor.cpu() for name, tensor in network.state_dict().items()})
        network.load_state_dict(state)

    def agree(self, settings: dict[str, Any]) -> None:
        """Raises ConfigError on all ranks if the settings (plain data) differ between ranks, and names a difference."""
        if self.size == 1:
            return
        everyone: list[Any] = [None] * self.size
        distributed.all_gather_object(everyone, settings)
        for rank, theirs in enumerate(everyone):
            if differs := difference(everyone[0], theirs):
                name, first, other = differs
                raise ConfigError(
                    f"the ranks disagree on {name}: {first!r} on rank 0, {other!r} on rank {rank}: start all alike"
                )

    def device(self, name: str) -> torch.device:
        """Returns the device of this rank. With several ranks, "cuda" is the GPU with the rank's number on its machine.

        Raises:
            ConfigError: ranks cannot share the device, or this machine has fewer GPUs than ranks.
        """
        if self.size == 1 or name == "cpu":
            return devices.located(name)
        if name != "cuda":
            raise ConfigError(f"device = {name!r} is not for {self.size} ranks: it must be cpu, or cuda without number")
        return torch.device("cuda", _local_gpu(self.rank))

    @contextmanager
    def watched(self, folder: Path | None) -> Iterator[None]:
        """Encloses all use of `run`, and turns torch's error for a lost rank into TrainingError.

        At the end of the block, the hooks that average gradients are removed from the networks.

        Arguments:
            folder: run folder that the error names, if there is a folder.
        """
        try:
            yield
        except RuntimeError as error:
            if self.size == 1 or not _is_loss(error):
                raise
            remedy = f"the last checkpoint in {folder} is whole, resume it" if folder else "start again, with run_dir"
            raise TrainingError(
                f"rank {self.rank} of {self.size} lost another one: {remedy}, on any number of ranks"
            ) from error
        finally:
            self._parallel.clear()  # this also removes the wrappers' hooks on the student's parameters

    def _learning(self, network: nn.Module) -> nn.Module:
        """Returns the network; for a pass with gradients, the wrapper that averages its gradients over ranks.

        The package's own networks declare that they use all their parameters. In a foreign network torch searches for
        unused parameters.
        """
        if not (torch.is_grad_enabled() and any(p.requires_grad for p in network.parameters())):
            return network
        if network not in self._parallel:
            unused = not getattr(network, "uses_all_parameters", False)
            self._parallel[network] = DistributedDataParallel(network, find_unused_parameters=unused, **_BUFFERS_STAY)
        return self._parallel[network]


ALONE = Ranks()


@contextmanager
def started(device: str) -> Iterator[None]:
    """Joins the processes that torchrun started, over NCCL on GPUs and gloo on CPUs; does nothing in a single process.

    When torchrun loses a process, it ends all processes: each then ends with one line.

    Raises:
        ConfigError: as `Ranks.device`.
        TrainingError: a process does not come, or is lost.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1 or distributed.is_initialized():
        yield
        return
    ranks = Ranks(int(os.environ["RANK"]), size)
    before = signal.signal(signal.SIGTERM, _ended)
    try:
        with ranks.watched(None):
            if ranks.device(device).type == "cuda":
                torch.cuda.set_device(ranks.device(device))
            distributed.init_process_group("nccl" if device == "cuda" else "gloo", timeout=PATIENCE)
        yield
        distributed.destroy_process_group()
    except BaseException:
        before = signal.SIG_IGN  # this process is ending already, and gives its reason
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


class _Sum(torch.autograd.Function):
    """The sum over ranks, on every rank. The backward pass is a sum over ranks, too: of the gradients of all ranks."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ARG004
        total = x.detach().clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ARG004
        return _Sum.apply(gradient)


def _local_gpu(rank: int) -> int:
    gpus = torch.cuda.device_count()
    index = int(os.environ.get("LOCAL_RANK", rank % max(gpus, 1)))
    if index >= gpus:
        raise ConfigError(f"rank {rank} has no GPU of its own, this machine has {gpus}: start as many ranks as GPUs")
    return index


def _is_loss(error: RuntimeError) -> bool:
    """Whether the error means that torch.distributed lost another rank."""
    reported = isinstance(error, distributed.DistError) or any(word in str(error).lower() for word in ("gloo", "nccl"))
    return reported and not is_out_of_memory(error)  # NCCL's errors include out of memory


def _ended(*_: object) -> None:
    raise TrainingError("ended from outside, as torchrun does when it loses a rank: go on with --resume")
