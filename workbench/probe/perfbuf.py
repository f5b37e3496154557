"""Perf event buffers, one a CPU: for kernels before 5.8, and for BCC's programs.

Layout (include/uapi/linux/perf_event.h): a control page with ``data_head`` (written by the
kernel) and ``data_tail`` (written here), then the data. A record is an 8-byte header: u32 type,
u16 misc, u16 size, and its body. A sample's body is a u32 length and the bytes that the program
sent, padded to 8; a LOST record's body is an id and the number of samples that found the buffer
full.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import BufferFormatError, KernelError
from workbench.probe import perf_event
from workbench.probe.chain import follow
from workbench.probe.ringbuf import _fence
from workbench.probe.span import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from workbench.probe.map_access import MapAccess

PAGE = mmap.PAGESIZE
# Offsets of u64 words in struct perf_event_mmap_page.
HEAD, TAIL, DATA_OFFSET, DATA_SIZE = 128, 129, 130, 131
LOST, SAMPLE = 2, 9  # enum perf_event_type
TYPE = 0xFFFFFFFF
HEADER = 12  # record header and length of the raw data


class CpuBuffer:
    """The buffer of one CPU.

    Parameters
    ----------
    cpu : int
    size : int
        Bytes of data: a power of two, a multiple of the page size.
    watermark : int
        Bytes that make ``fd`` readable.
    """

    def __init__(self, cpu: int, size: int, watermark: int) -> None:
        self.cpu, self.size = cpu, size
        self.lost = 0
        self.fd = perf_event.open_bpf_output(cpu, watermark)
        try:
            self._map = mmap.mmap(self.fd, PAGE + size, mmap.MAP_SHARED)
            fcntl.ioctl(self.fd, perf_event.IOC_ENABLE, 0)
        except (OSError, ValueError) as error:
            os.close(self.fd)
            raise KernelError("A perf buffer cannot be mapped.", why=str(error)) from error
        self._control = np.frombuffer(self._map, np.uint64, PAGE // 8)
        self._data = np.frombuffer(self._map, np.uint8, offset=PAGE)

    def drain(self) -> Span:
        """Copy out what is there, hand the room back, and find the samples."""
        head, tail = int(self._control[HEAD]), int(self._control[TAIL])
        _fence()
        size, start = head - tail, tail % self.size
        copy = np.empty(size, np.uint8)
        before_end = min(size, self.size - start)
        copy[:before_end] = self._data[start : start + before_end]
        copy[before_end:] = self._data[: size - before_end]
        _fence()
        self._control[TAIL] = head
        span, lost = walk(copy.view(np.uint64))
        self.lost += lost
        return span

    def close(self) -> None:
        """Unmap and close."""
        del self._control, self._data
        self._map.close()
        os.close(self.fd)


class PerfBuffer:
    """The buffers of all CPUs behind a ``BPF_MAP_TYPE_PERF_EVENT_ARRAY``.

    Make it before programs are attached: what they send before that fails.

    Parameters
    ----------
    events : MapAccess
    size : int
        Bytes for each CPU.
    watermark : int
        Bytes that make a CPU's descriptor readable.
    """

    def __init__(self, events: MapAccess, size: int, watermark: int) -> None:
        self.buffers: list[CpuBuffer] = []
        try:
            for cpu in perf_event.online_cpus():
                self.buffers.append(CpuBuffer(cpu, size, watermark))
                key, fd = (int(n).to_bytes(4, "little") for n in (cpu, self.buffers[-1].fd))
                events.update(key, fd)
        except BaseException:
            self.close()
            raise
        self.size = size

    @property
    def fds(self) -> list[int]:
        """Descriptors that become readable at the watermark."""
        return [buffer.fd for buffer in self.buffers]

    @property
    def lost(self) -> int:
        """Samples that LOST records have told of; later losses are known to the program only."""
        return sum(buffer.lost for buffer in self.buffers)

    def drain(self) -> Iterator[Span]:
        """Give the samples of each CPU."""
        for buffer in self.buffers:
            span = buffer.drain()
            if len(span):
                yield span

    def close(self) -> None:
        """Close all buffers."""
        while self.buffers:
            self.buffers.pop().close()


def walk(words: NDArray[np.uint64]) -> tuple[Span, int]:
    """Find the samples in whole records, and count what LOST records tell of.

    Raises
    ------
    BufferFormatError
        The headers do not form a chain.
    """
    data = words.view(np.uint8)
    none = np.empty(0, np.int64)
    if not len(words):
        return Span(data, none, none), 0
    step = int(words[0] >> np.uint64(48))
    if step and step % 8 == 0 and (len(words) * 8) % step == 0:
        heads = words[:: step // 8]
        if int(heads[0]) & TYPE == SAMPLE and (heads == heads[0]).all():
            lengths = words.view(np.uint32)[2 :: step // 4]
            if (lengths == lengths[0]).all() and lengths[0] <= step - HEADER:
                at = np.arange(len(heads), dtype=np.int64) * step
                return Span(data, at + HEADER, lengths.astype(np.int64), step), 0
    return _walk_mixed(words)


def _walk_mixed(words: NDArray[np.uint64]) -> tuple[Span, int]:
    sizes = (words >> np.uint64(48)).astype(np.int64)
    # Which types there are is not known for all kernels; what a header must have is.
    candidates = np.flatnonzero((sizes >= 8) & (sizes % 8 == 0))
    following = candidates + sizes[candidates] // 8
    chain, complete = (
        follow(candidates, following, len(words))
        if len(candidates) and candidates[0] == 0
        else (np.empty(0, np.int64), False)
    )
    if not complete:
        raise BufferFormatError("The perf buffer's headers do not form a chain.")
    at = candidates[chain]
    types = (words[at] & np.uint64(TYPE)).astype(np.int64)
    lost = int(words[at[types == LOST] + 2].sum())
    samples = at[types == SAMPLE]
    lengths = words.view(np.uint32)[samples * 2 + 2].astype(np.int64)
    if (lengths > sizes[samples] - HEADER).any():
        raise BufferFormatError("A sample of the perf buffer is longer than its record.")
    return Span(words.view(np.uint8), samples * 8 + HEADER, lengths), lost
