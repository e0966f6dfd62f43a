"""The processes that share a run, and all that they tell each other. Nothing else talks to torch.distributed.

A run on R ranks is the run on one: every rank holds the same networks, optimizers and random generators, draws the
whole batch's latents and works on its own R-th of them. Where something is no mean of samples (class entropy, BatchNorm
moments, the curriculum), the ranks put together what they hold, through a gather that is differentiable:

    the gather's backward adds up what all ranks want of a value, so rank r's gradient is d(sum_k L_k)/d(theta_r), for
    its own copy theta_r of the parameters; DistributedDataParallel takes the mean over ranks, and by the chain rule
    (1/R) sum_r d(sum_k L_k)/d(theta_r) = d((1/R) sum_k L_k)/d(theta).

So L_k may be the mean over the rank's samples, or a function of the global batch that all ranks compute alike.
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

# The ranks' buffers are equal at all times and need no message. torch 2.15 gave the option its second name.
_BUFFERS = ("forward_sync_buffers", "broadcast_buffers")
_BUFFERS_STAY: dict[str, Any] = {next(n for n in _BUFFERS if n in signature(DistributedDataParallel).parameters): False}
PATIENCE = timedelta(seconds=45)  # how long a rank waits for the others before it takes one for lost

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """This process's place among those that share a run: `rank` of `size`. Alone, every method does nothing."""

    rank: int = 0
    size: int = 1
    _parallel: dict[nn.Module, nn.Module] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def here(cls) -> "Ranks":
        """The default process group of torch.distributed, if there is one."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return ALONE
        return cls(distributed.get_rank(), distributed.get_world_size())

    @property
    def leads(self) -> bool:
        """Whether this is the rank that writes and speaks."""
        return self.rank == 0

    def mine(self, x: Tensor) -> Tensor:
        """This rank's part of a tensor of the global batch: rows r n/R to (r + 1) n/R - 1 of its n."""
        return x if self.size == 1 else x.tensor_split(self.size)[self.rank]

    def gather(self, x: Tensor) -> Tensor:
        """All ranks' tensors, of one shape, one after the other along dimension 0; differentiable (see above)."""
        if self.size == 1:
            return x
        whole = x.new_zeros(self.size, *x.shape)
        whole[self.rank] = x
        return _Sum.apply(whole).flatten(0, 1)

    def means(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The mean over ranks of each tensor; differentiable, one message for all of them."""
        if self.size == 1:
            return tensors
        flat = _Sum.apply(torch.cat([x.flatten() for x in tensors])) / self.size
        return tuple(part.view_as(x) for part, x in zip(flat.split([x.numel() for x in tensors]), tensors, strict=True))

    def run(self, network: nn.Module, x: Tensor) -> Any:
        """network(x), its BatchNorm layers with moments of the global batch, its gradients averaged over ranks.

        Whatever else mixes samples inside a network of someone else's sees the rank's own.
        """
        if self.size == 1:
            return network(x)
        with GlobalBatchNorm(self.gather):
            return self._learning(network)(x)

    def lead(self, act: Callable[[], T]) -> T:
        """What `act` returns on rank 0, where alone it is done. If it raises an error of ours, all ranks raise it."""
        if self.size == 1:
            return act()
        told: list[Any] = [None, None]
        if self.leads:
            try:
                told[0] = act()
            except CudfkdError as error:
                told[1] = error
        distributed.broadcast_object_list(told)
        if told[1] is not None:
            raise told[1]
        return told[0]

    def follow(self, network: nn.Module) -> None:
        """Gives the network the parameters and buffers that it has on rank 0."""
        if self.size == 1:
            return
        state = self.lead(lambda: {name: tensor.cpu() for name, tensor in network.state_dict().items()})
        network.load_state_dict(state)

    def agree(self, settings: dict[str, Any]) -> None:
        """Raises ConfigError on all ranks if one was given other settings (plain data), naming one difference."""
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
        """Where this rank computes. With several, "cuda" is the GPU of its number on its machine.

        Raises:
            ConfigError: a device that ranks cannot share, or fewer GPUs than ranks on this machine.
        """
        if self.size == 1 or name == "cpu":
            return devices.located(name)
        if name != "cuda":
            raise ConfigError(f"device = {name!r} is not for {self.size} ranks: it must be cpu, or cuda without number")
        return torch.device("cuda", _local_gpu(self.rank))

    @contextmanager
    def watched(self, folder: Path | None) -> Iterator[None]:
        """Raises TrainingError where torch says, in its own way, that another rank does not answer any more.

        It encloses the use of `run`: at its end nothing of what averages gradients is left on the networks.
        """
        try:
            yield
        except RuntimeError as error:
            if self.size == 1 or not _is_loss(error):
                raise
            kept = f"the last checkpoint in {folder} is whole, resume it" if folder else "start again, with run_dir"
            raise TrainingError(
                f"rank {self.rank} of {self.size} lost another one: {kept}, on any number of ranks"
            ) from error
        finally:
            self._parallel.clear()  # with them go their hooks on the student's parameters

    def _learning(self, network: nn.Module) -> nn.Module:
        """The network, or what averages its gradients if this pass is one to learn from.

        Networks of ours say that they use all their parameters; in a foreign one torch looks for unused parameters.
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
    """Joins the other processes that torchrun started, over NCCL on GPUs and gloo on CPUs; alone, does nothing.

    torchrun ends all processes when it loses one: that becomes a line, too. Raises ConfigError as `Ranks.device`, and
    TrainingError when the others do not come or are lost.
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
        before = signal.SIG_IGN  # it is ending already, and says why
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


class _Sum(torch.autograd.Function):
    """The sum over ranks, on every rank. So is its gradient: what all ranks want of it."""

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
    told = isinstance(error, distributed.DistError) or any(word in str(error).lower() for word in ("gloo", "nccl"))
    return told and not is_out_of_memory(error)  # which is NCCL's own, too


def _ended(*_: object) -> None:
    raise TrainingError("ended from outside, as torchrun does when it loses a rank: go on with --resume")
