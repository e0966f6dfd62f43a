"""The idx format of MNIST and its kin: two zeros, the type, the number of dimensions, each of them, the bytes."""

import gzip
import zlib
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cudfkd.base.errors import DataError


def write_idx(path: Path, array: np.ndarray) -> None:
    """Writes a uint8 array as a gzipped idx file, the same bytes every time."""
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">i4").tobytes()
    path.write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes(), compresslevel=9, mtime=0))


def read_idx(path: Path, expected: str) -> Tensor:
    """The uint8 array in an idx file, gzipped if its name ends in .gz.

    Arguments:
        path: the file.
        expected: SHA-256 of its uncompressed content; the compressed one differs from one distributor to the next.

    Raises:
        DataError: the file cannot be read or has another hash.
    """
    try:
        raw = path.read_bytes()
        content = gzip.decompress(raw) if path.suffix == ".gz" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}): fetch the file again") from error
    if sha256(content).hexdigest() != expected:
        raise DataError(f"{path} is not the published file (its SHA-256 differs): fetch the file again")
    dimensions = content[3]
    shape = np.frombuffer(content, dtype=">i4", count=dimensions, offset=4).astype(int)
    return torch.from_numpy(np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * dimensions).reshape(shape).copy())
