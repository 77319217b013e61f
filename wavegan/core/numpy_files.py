"""Safe reading of untrusted .npy and .npz files: plain numbers only, memory bounded by the file size."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path

import numpy as np

from wavegan.core.errors import one_line


def read(path: Path) -> np.ndarray | dict[str, np.ndarray]:
    """Read the array of an .npy file, or those of an .npz file by name.

    Raises:
        ValueError: as ``parse``; a damaged archive, or one that unpacks to far more than its size.
    """
    data = path.read_bytes()
    if not data.startswith(b"PK"):
        return parse(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(record.file_size for record in archive.infolist()) > 2**26 + 100 * len(data):
                raise ValueError("it unpacks to far more than its own size")
            members = {name.removesuffix(".npy"): archive.read(name) for name in archive.namelist()}
    except Exception as error:  # zipfile raises many types on damaged archives
        raise ValueError(one_line(error)) from None
    return {name: parse(member) for name, member in members.items()}


def parse(data: bytes) -> np.ndarray:
    """Parse an .npy file.

    Raises:
        ValueError: another format, an array of Python objects, or fewer values than the header promises.
    """
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, transposed, dtype = read_header(file)
        if dtype.hasobject or math.prod(shape) * dtype.itemsize > len(data) - file.tell():
            raise ValueError("it holds Python objects, or is cut short")
        array = np.frombuffer(data, dtype, math.prod(shape), file.tell())
        return array.reshape(shape, order="F" if transposed else "C")
    except Exception as error:  # the header is a Python literal, which can fail in many ways
        raise ValueError(one_line(error)) from None
