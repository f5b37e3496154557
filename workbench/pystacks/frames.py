"""Words of Python frames → numbers of frames with function, file and line.

The words are those of ``bpf/python.bpf.h``. Whole batches are decoded at once: only what was not
seen before is looked at one by one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.pystacks.codes import UNKNOWN, Code, CodeTable
from workbench.pystacks.lines import NO_LINE
from workbench.pystacks.objects import FINGERPRINT_SHIFT
from workbench.symbols.frame_table import Frame, FrameTable

ENTRY, HIDDEN = np.uint64(1 << 32), np.uint64(1 << 33)
STATUSES = ("complete", "truncated", "read_fault", "bad_code", "many_threads", "busy", "unknown")
"""Texts of ``enum wb_python_status``, and one for numbers that are none."""
MAX_MEMO = 1 << 20


class PythonWords(NamedTuple):
    """Words of many Python frames, decoded.

    Parameters
    ----------
    ids : numpy.ndarray of int64
        Numbers of frames, -1 for hidden ones.
    is_entry : numpy.ndarray of bool
        Whether the chain returns to C below the frame.
    """

    ids: NDArray[np.int64]
    is_entry: NDArray[np.bool_]


class PythonFrames:
    """Numbers the Python frames of one capture.

    Parameters
    ----------
    codes : CodeTable
        Its ring must be drained after the ring of the stacks, and before they are decoded: a code
        object is announced before the first stack that runs it is sent.
    frames : FrameTable
        Takes the frames.
    """

    def __init__(self, codes: CodeTable, frames: FrameTable) -> None:
        self.unknown = 0
        self._codes = codes
        self._frames = frames
        self._memo: dict[tuple[int, int, int], int] = {}

    def decode(self, pids: NDArray[np.integer], words: NDArray[np.uint64]) -> PythonWords:
        """Decode frames.

        Parameters
        ----------
        pids : numpy.ndarray of int, shape (frames,)
            Process of each frame.
        words : numpy.ndarray of uint64, shape (frames, 2)

        Returns
        -------
        PythonWords
        """
        if not len(words):
            return PythonWords(np.zeros(0, np.int64), np.zeros(0, np.bool_))
        is_entry = words[:, 1] & ENTRY != 0
        keys = np.empty((len(words), 3), np.uint64)
        keys[:, 0] = pids
        keys[:, 1] = words[:, 0]
        keys[:, 2] = words[:, 1] & ~ENTRY
        packed = np.ascontiguousarray(keys).view(np.dtype((np.void, keys.itemsize * 3)))[:, 0]
        _, first, inverse = np.unique(packed, return_index=True, return_inverse=True)
        ids = np.array([self._id(*key) for key in keys[first].tolist()], np.int64)
        return PythonWords(ids[inverse], is_entry)

    def _id(self, pid: int, address: int, word: int) -> int:
        if word & int(HIDDEN):
            return -1
        key = (pid, address, word)
        found = self._memo.get(key)
        if found is None:
            code = self._codes.find(pid, address, word >> FINGERPRINT_SHIFT)
            if code is None:
                self.unknown += 1
                return self._unknown()
            if len(self._memo) >= MAX_MEMO:
                self._memo.clear()
            found = self._memo[key] = self._number(code, word)
        return found

    def _unknown(self) -> int:
        return self._frames.intern(("python",), Frame(UNKNOWN, UNKNOWN, "", 0, "python"))

    def _number(self, code: Code, word: int) -> int:
        offset = np.array([word & 0xFFFFFFFF], np.uint32).view(np.int32).astype(np.int64)
        line = int(code.lines.at(offset)[0]) if code.lines else code.first_line
        # 0 and less is what code that was made by hand may say; the column holds uint32.
        told = line if line != NO_LINE and 0 <= line < 1 << 32 else None
        frame = Frame(code.function, code.file or UNKNOWN, "", 0, "python", code.file or None, told)
        return self._frames.intern(("python", frame.function, frame.file, told), frame)


def chain_statuses(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the status that each frame tells of its chain.

    Parameters
    ----------
    words : numpy.ndarray of uint64, shape (frames, 2)

    Returns
    -------
    numpy.ndarray of int64
        Index into :data:`STATUSES`; 0 for all frames but those that end a chain early.
    """
    hidden = words[:, 1] & HIDDEN != 0
    status = np.minimum(words[:, 0], np.uint64(len(STATUSES) - 1)).astype(np.int64)
    return np.where(hidden, status, 0)
