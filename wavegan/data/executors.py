"""Executors of preparation. A new one, such as processes or Dask, is a generator function and a line in ``EXECUTORS``.

It yields (source, outcome) pairs in any order, and stops its workers when it is closed. ``convert`` can be pickled:
initialise each process with it once, as its copy reads the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

import torch

from wavegan.data.source import Source

Convert = Callable[[Source], Any]


def in_threads(convert: Convert, sources: Sequence[Source], num_workers: int) -> Iterator[tuple[Source, Any]]:
    """Threads of this process: decoding, resampling and encoding release the interpreter lock."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the pool is the parallelism
    pool = ThreadPoolExecutor(num_workers)
    try:
        jobs = {pool.submit(convert, source): source for source in sources}
        for job in as_completed(jobs):
            yield jobs[job], job.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(num_threads)


EXECUTORS = {"threads": in_threads}
