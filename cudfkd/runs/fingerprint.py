"""The fingerprint of a network: a hash of its weights and buffers. A run folder knows its teacher by it."""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from pickle import PicklingError
from types import BuiltinFunctionType, FunctionType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from cudfkd.boundary.weights import plain_state

_SIMPLE = (type(None), bool, int, float, complex, str, torch.dtype)
_BY_CHANNEL = (torch.per_channel_affine, torch.per_channel_affine_float_qparams)


def fingerprint(network: nn.Module) -> str:
    """Hash of plain names, types, shapes and values in a network's state dict, equal in every process.

    A state dict may hold more than dense tensors: quantized or sparse tensors, packed parameters, extra state of any
    kind. Such a value is taken apart down to numbers, texts and bytes. Only the type counts of a part that cannot be
    taken apart, such as an open file.
    """
    digest = sha256()
    for name, value in plain_state(network).items():
        if isinstance(value, Tensor) and _is_dense(value):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(_bytes(value))
        else:
            digest.update(f"{name} ".encode())
            _feed(digest, value, ())
    return digest.hexdigest()


def _feed(digest: Any, value: Any, around: tuple[Any, ...]) -> None:
    """Adds a value to the digest, with the length of each part, so that other parts cannot give the same bytes.

    Arguments:
        digest: the digest so far.
        value: the value to add.
        around: values that hold this value; a value inside itself ends there.
    """
    kind = "Tensor" if isinstance(value, Tensor) else f"{type(value).__module__}.{type(value).__qualname__}"
    parts = b"" if any(value is outer for outer in around) else _parts(value)
    digest.update(f"{kind} {type(parts).__name__} {len(parts)} ".encode())
    if isinstance(parts, bytes):
        digest.update(parts)
        return
    for part in parts:
        _feed(digest, part, (*around, value))


def _parts(value: Any) -> bytes | list[Any]:
    """Takes a value apart, one level deep: bytes, or a list of further values."""
    if isinstance(value, Tensor):
        return [str(value.dtype), tuple(value.shape), *_parts_of_tensor(value)]
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if type(value) in _SIMPLE:
        return repr(value).encode()
    if isinstance(value, Mapping):
        return [item for pair in value.items() for item in pair]
    if isinstance(value, list | tuple):
        return list(value)
    if isinstance(value, set | frozenset):
        return sorted(_alone(item) for item in value)
    if isinstance(value, type | FunctionType | BuiltinFunctionType):
        return f"{value.__module__}.{value.__qualname__}".encode()
    return _parts_of_object(value)


def _parts_of_tensor(value: Tensor) -> list[Any]:
    if value.is_meta:
        return []
    if is_traceable_wrapper_subclass(value):
        names, context = value.__tensor_flatten__()  # pyright: ignore[reportAttributeAccessIssue]
        return [names, context, *(getattr(value, name) for name in names)]
    if value.is_nested:
        return list(value.unbind())
    if value.is_quantized:
        return [value.int_repr(), *_scales(value)]
    if value.layout == torch.sparse_coo:
        return [value.coalesce().indices(), value.coalesce().values()]
    if value.layout in (torch.sparse_csr, torch.sparse_bsr):
        return [value.crow_indices(), value.col_indices(), value.values()]
    if value.layout in (torch.sparse_csc, torch.sparse_bsc):
        return [value.ccol_indices(), value.row_indices(), value.values()]
    return [_bytes(value.to_dense() if value.layout != torch.strided else value)]


def _scales(value: Tensor) -> list[Any]:
    """Scales and zero points of a quantized tensor."""
    if value.qscheme() in _BY_CHANNEL:
        return [value.q_per_channel_scales(), value.q_per_channel_zero_points(), value.q_per_channel_axis()]
    return [value.q_scale(), value.q_zero_point()]


def _parts_of_object(value: Any) -> bytes | list[Any]:
    """Takes an object apart as pickle would, without its address; no bytes if it has no such parts."""
    if isinstance(value, torch.ScriptObject):  # packed parameters of quantized recurrent layers
        state: Any = value.__getstate__()
        return list(state)
    try:
        reduced = value.__reduce_ex__(4)
    except (TypeError, AttributeError, NotImplementedError, RuntimeError, PicklingError):
        return b""
    if isinstance(reduced, str):
        return reduced.encode()
    return [list(part) if isinstance(part, Iterator) else part for part in reduced]


def _alone(value: Any) -> str:
    digest = sha256()
    _feed(digest, value, ())
    return digest.hexdigest()


def _is_dense(value: Tensor) -> bool:
    special = value.is_meta or value.is_quantized or value.is_nested or is_traceable_wrapper_subclass(value)
    return value.layout == torch.strided and not special


def _bytes(value: Tensor) -> bytes:
    return value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
