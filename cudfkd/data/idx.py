"""The idx format of MNIST and similar data sets.

A file holds two zero bytes, the type, the number of dimensions, the size of each dimension, and then the values.
"""

import gzip
import zlib
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cudfkd.base.errors import DataError


def write_idx(path: Path, array: np.ndarray) -> None:
    """Writes a uint8 array as a gzipped idx file. The same array always gives the same bytes."""
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">i4").tobytes()
    path.write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes(), compresslevel=9, mtime=0))


def read_idx(path: Path, expected: str) -> Tensor:
    """Reads the uint8 array of an idx file. If its name ends in .gz, the file is unpacked.

    Arguments:
        path: the file.
        expected: SHA-256 of the uncompressed content. The SHA-256 of the compressed file differs between distributors.

    Raises:
        DataError: the file cannot be read, or its hash is not `expected`.
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
