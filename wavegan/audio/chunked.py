"""Signals of any length in constant memory: a function of bounded reach, applied window by window."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor


class ChunkedFunction:
    """Applies ``function`` to a signal that comes in pieces of any size, so that it gives what the whole would.

    ``function(window, first)`` maps (..., N) to (..., about N / unit * gain); ``first`` is the unit at which the window
    begins in the whole. ``gain`` outputs belong to each ``unit`` inputs, and may depend on ``context``, (left, right),
    units around them.

    What ``push`` and ``finish`` yield, joined, is ``function(whole, 0)``; ``push`` yields what nothing to come can
    change. ``over`` does both for all the pieces of an iterable.
    ``least`` and ``most`` bound the new units of a window: larger ones repeat less of the context, smaller ones
    wait less. Where both are the same, windows don't depend on the pieces, and outputs are equal bit for bit.
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
        self.length = 0  # of the pieces together, in samples
        self.first = self.done = 0  # units: where the pieces begin, and what has been yielded

    def over(self, pieces: Iterable[Tensor]) -> Iterator[Tensor]:
        for piece in pieces:
            yield from self.push(piece)
        yield from self.finish()

    def push(self, piece: Tensor) -> Iterator[Tensor]:
        """Take (..., N) more; yields outputs, none where more must come first."""
        if not piece.shape[-1]:
            return
        self.pieces.append(piece)
        self.length += piece.shape[-1]
        while (ready := self.first + self.length // self.unit - self.right - self.done) >= self.least:
            count = min(ready, self.most)
            yield self._run(count, (self.done + count + self.right - self.first) * self.unit)
            self._forget()

    def finish(self) -> Iterator[Tensor]:
        """The signal has ended: yields what is left of the outputs."""
        if not self.pieces:
            return
        while self.first + self.length // self.unit - self.done > self.most:
            yield self._run(self.most, (self.done + self.most + self.right - self.first) * self.unit)
            self._forget()
        rest = self._run(None, self.length)
        if rest.shape[-1]:
            yield rest

    def _run(self, count: int | None, stop: int) -> Tensor:
        """The outputs of ``count`` more units, or all, out of the first ``stop`` samples that are held."""
        held = torch.cat(self.pieces, dim=-1) if len(self.pieces) > 1 else self.pieces[0]
        self.pieces = [held]
        output = self.function(held[..., :stop], self.first)[..., (self.done - self.first) * self.gain :]
        if count is None:
            return output
        self.done += count
        return output[..., : count * self.gain]

    def _forget(self) -> None:
        """Drop what no output to come depends on."""
        first = max(self.done - self.left, 0)
        held = self.pieces[0][..., (first - self.first) * self.unit :]
        self.first, self.pieces, self.length = first, [held], held.shape[-1]
