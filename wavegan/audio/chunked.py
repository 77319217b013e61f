"""Apply a finite-context function to a stream, with the result of one call on the whole signal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor


class ChunkedFunction:
    """Apply ``function`` window by window to a signal in pieces of any size, in constant memory.

    ``function(window, first)`` maps (..., N) to (..., about N / unit * gain); ``first`` is the unit at which the window
    begins. Each ``unit`` of inputs has ``gain`` outputs, which may depend on ``context``, (left, right), units around.

    The outputs of ``push`` and ``finish``, concatenated, are ``function(whole, 0)``; ``push`` yields those that no
    later input can change. ``over`` does both for an iterable of pieces. ``least`` and ``most`` bound the new units
    of a window: larger windows recompute less context, smaller ones have less latency. If both are equal, windows don't
    depend on the pieces, and outputs are identical bit for bit.
    """

    def __init__(
        self,
        function: Callable[[Tensor, int], Tensor],
        context: tuple[int, int],
        unit: int = 1,
        gain: int = 1,
        least: int = 1,
        most: int = 4096,
    ):
        self.function, self.unit, self.gain = function, unit, gain
        self.left, self.right = context
        self.least, self.most = least, most
        self.pieces: list[Tensor] = []
        self.length = 0  # of all pieces, in samples
        self.first = self.done = 0  # in units: the start of the pieces, and of the outputs to come

    def over(self, pieces: Iterable[Tensor]) -> Iterator[Tensor]:
        for piece in pieces:
            yield from self.push(piece)
        yield from self.finish()

    def push(self, piece: Tensor) -> Iterator[Tensor]:
        """Append inputs (..., N) and yield the outputs that are ready."""
        if not piece.shape[-1]:
            return
        self.pieces.append(piece)
        self.length += piece.shape[-1]
        while (ready := self.first + self.length // self.unit - self.right - self.done) >= self.least:
            count = min(ready, self.most)
            yield self._run(count, (self.done + count + self.right - self.first) * self.unit)
            self._forget()

    def finish(self) -> Iterator[Tensor]:
        """Yield the remaining outputs at the end of the signal."""
        if not self.pieces:
            return
        while self.first + self.length // self.unit - self.done > self.most:
            yield self._run(self.most, (self.done + self.most + self.right - self.first) * self.unit)
            self._forget()
        rest = self._run(None, self.length)
        if rest.shape[-1]:
            yield rest

    def _run(self, count: int | None, stop: int) -> Tensor:
        """Compute the outputs of ``count`` more units, or all, from the first ``stop`` buffered samples."""
        buffer = torch.cat(self.pieces, dim=-1) if len(self.pieces) > 1 else self.pieces[0]
        self.pieces = [buffer]
        output = self.function(buffer[..., :stop], self.first)[..., (self.done - self.first) * self.gain :]
        if count is None:
            return output
        self.done += count
        return output[..., : count * self.gain]

    def _forget(self) -> None:
        """Drop inputs that no later output depends on."""
        first = max(self.done - self.left, 0)
        buffer = self.pieces[0][..., (first - self.first) * self.unit :]
        self.first, self.pieces, self.length = first, [buffer], buffer.shape[-1]
