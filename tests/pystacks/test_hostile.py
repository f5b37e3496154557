"""Memory that was made to mislead the kernel side: it ends in time, with a status."""

from __future__ import annotations

import base64
import random
import struct
import subprocess
import sys
import time

import pytest
from pystacks_interpreters import CALL, GETPGID, HERE, compiled_stacks, recorded

from workbench.pystacks import STATUSES
from workbench.pystacks.interpreter import Interpreter, PythonStatus
from workbench.pystacks.layout import TABLE

pytestmark = pytest.mark.kernel

LAYOUT = TABLE[3, 12]
RUNTIME, INTERPRETER, THREAD, CFRAME, FRAME, CODE, TEXT, TYPE = (n << 12 for n in range(1, 9))
OLDER, SHIM, STALE, NEW, CALLER = CFRAME + 128, CFRAME + 512, FRAME + 256, FRAME + 512, FRAME + 768
SIZE = 1 << 16
OWNER = LAYOUT.owner_shim << 8 * (LAYOUT.frame_owner % 8)


class Hostile:
    """The process; addresses in what is written are relative to its block."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, HERE / "hostile.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.base, *self.idents = map(int, self.process.stdout.readline().split())
        self.pid = self.process.pid

    def interpreter(self):
        return Interpreter(
            *(self.pid, PythonStatus.OK, "", "3.12.1"),
            **{"runtime": self.base + RUNTIME, "code_type": self.base + TYPE, "layout": LAYOUT},
        )

    def call(self, content, register=0):
        text = base64.b64encode(content).decode()
        self.process.stdin.write(f"{GETPGID} {register} {text}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def good(self):
        """Write one frame of one code object."""
        content = bytearray(SIZE)
        for at, value in {
            RUNTIME + LAYOUT.runtime_interpreter: self.base + INTERPRETER,
            INTERPRETER + LAYOUT.interpreter_thread: self.base + THREAD,
            THREAD + LAYOUT.thread_id: self.idents[0],
            THREAD + LAYOUT.thread_native_id: self.idents[1],
            THREAD + LAYOUT.thread_interpreter: self.base + INTERPRETER,
            THREAD + LAYOUT.thread_frame: self.base + CFRAME,
            CFRAME: self.base + FRAME,
            FRAME + LAYOUT.frame_code: self.base + CODE,
            FRAME + LAYOUT.frame_instruction: self.base + CODE + LAYOUT.code_bytes + 4,
            CODE + LAYOUT.object_type: self.base + TYPE,
            CODE + LAYOUT.code_name: self.base + TEXT,
            CODE + LAYOUT.code_file: self.base + TEXT + 256,
            CODE + LAYOUT.code_lines: self.base + TEXT + 512,
            TEXT + LAYOUT.text_length: 1,
            TEXT + LAYOUT.text_state: (1 | 8 | 16) << LAYOUT.text_kind,
            TEXT + LAYOUT.text_ascii: ord("f"),
        }.items():
            put(content, at, value)
        return content


def put(content, at, value):
    struct.pack_into("<Q", content, at, value)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return compiled_stacks(tmp_path_factory.mktemp("hostile"))


@pytest.fixture
def hostile():
    found = Hostile()
    yield found
    found.process.kill()
    found.process.communicate()


@pytest.fixture
def recorder(program, hostile):
    with recorded(program, hostile, "call") as found:
        found.processes._find = lambda _: hostile.interpreter()
        found.processes.watch(hostile.pid)
        found.processes.poll()
        yield found


def one(recorder, hostile, content, register=0):
    hostile.call(bytes(content), register)
    (stack,) = recorder.drain()
    assert stack.source == CALL
    return stack


def test_the_good_one(recorder, hostile):
    stack = one(recorder, hostile, hostile.good())
    assert stack.frames == [("f", None, 0)]
    assert stack.status == 0


@pytest.mark.parametrize(
    ("status", "change"),
    [
        ("complete", {RUNTIME + LAYOUT.runtime_interpreter: 0}),
        ("complete", {INTERPRETER + LAYOUT.interpreter_thread: 0}),
        ("complete", {THREAD + LAYOUT.thread_frame: 0}),
        ("complete", {CFRAME: 0}),
        # rings
        ("many_threads", {INTERPRETER + LAYOUT.interpreter_thread: 0, INTERPRETER: INTERPRETER}),
        ("many_threads", {THREAD + LAYOUT.thread_id: 1, THREAD + LAYOUT.thread_next: THREAD}),
        ("truncated", {FRAME + LAYOUT.frame_previous: FRAME}),
        # what is not there
        ("read_fault", {THREAD + LAYOUT.thread_id: 1, THREAD + LAYOUT.thread_next: 1 << 46}),
        ("read_fault", {FRAME + LAYOUT.frame_previous: 1 << 46}),
        ("read_fault", {FRAME + LAYOUT.frame_previous: (1 << 64) - 8}),
        ("read_fault", {FRAME + LAYOUT.frame_previous: 0xFFFF888000000000}),
        ("read_fault", {FRAME + LAYOUT.frame_code: 1 << 46}),
        # what is something else
        ("bad_code", {CODE + LAYOUT.object_type: TYPE + 8}),
        ("bad_code", {FRAME + LAYOUT.frame_code: CODE + 16}),
    ],
)
def test_memory_that_misleads(recorder, hostile, status, change):
    content = hostile.good()
    for at, value in change.items():
        put(content, at, value + hostile.base if 0 < value < SIZE and value > 1 else value)
    started = time.monotonic()
    stack = one(recorder, hostile, content)
    assert STATUSES[stack.status] == status
    assert time.monotonic() - started < 1
    assert len(stack.words) <= 127
    one(recorder, hostile, hostile.good())


def entering(hostile, **changed):
    """An evaluation that is being entered, from one that runs FRAME, whose caller is CALLER.

    The newest _PyCFrame is linked and not filled in; SHIM and NEW are what the evaluation will put
    between it and FRAME.
    """
    content, base = hostile.good(), hostile.base
    for frame, line in ((CALLER, 40), (STALE, 80), (NEW, 120)):
        content[frame : frame + 256] = content[FRAME : FRAME + 256]
        put(content, frame + LAYOUT.frame_instruction, base + CODE + LAYOUT.code_bytes + line)
    put(content, FRAME + LAYOUT.frame_previous, base + CALLER)
    put(content, OLDER, base + FRAME)
    put(content, OLDER + 8, base + OLDER + 64)
    put(content, SHIM + LAYOUT.frame_owner // 8 * 8, OWNER)
    put(content, SHIM + LAYOUT.frame_previous, base + changed.get("shim", FRAME))
    put(content, STALE + LAYOUT.frame_previous, base + changed.get("stale", SHIM))
    put(content, NEW + LAYOUT.frame_previous, base + changed.get("new", SHIM))
    put(content, CFRAME, base + changed["frame"] if changed["frame"] else 0)
    put(content, CFRAME + 8, base + changed.get("previous", 1 << 46))
    return content


@pytest.mark.parametrize("frame", [0, 1 << 46, TEXT, STALE, SHIM], ids=str)
@pytest.mark.parametrize("register", [OLDER, NEW])
def test_an_evaluation_that_is_being_entered(recorder, hostile, frame, register):
    """Its chain is not there yet, or an earlier call's; a register tells where it will lead."""
    older = CALLER if register == OLDER else FRAME  # of an earlier call, not of this one
    content = entering(hostile, frame=frame, shim=older, previous=OLDER + 8)
    stack = one(recorder, hostile, content, register)
    assert STATUSES[stack.status] == "complete"
    places = [word & 0xFFFFFFFF for code, word in stack.words.tolist() if code]
    expected = {OLDER: [4, 40], NEW: [120, 4, 40]}[register]
    assert places == expected
    assert stack.entries[0]


def test_the_first_evaluation_of_a_thread(recorder, hostile):
    """It is entered from the thread state's own _PyCFrame, which runs nothing."""
    stack = one(recorder, hostile, entering(hostile, frame=1 << 46), THREAD + 512)
    assert STATUSES[stack.status] == "complete"
    assert (stack.frames, stack.entries) == ([], [True])


def test_an_evaluation_whose_caller_is_known(recorder, hostile):
    """Compilers may write the link to it first."""
    stack = one(recorder, hostile, entering(hostile, frame=1 << 46, previous=OLDER))
    assert STATUSES[stack.status] == "complete"
    assert (len(stack.frames), stack.entries) == (2, [True, False, True])


def test_a_chain_that_no_register_denies_is_true(recorder, hostile):
    """Such as those of coroutines with C stacks of their own, which swap what lies below them."""
    stack = one(recorder, hostile, entering(hostile, frame=NEW, previous=OLDER, shim=CALLER))
    assert STATUSES[stack.status] == "complete"
    places = [word & 0xFFFFFFFF for _, word in stack.words.tolist()]
    assert places == [120, 40]
    assert stack.entries == [True, True]


def test_texts_that_mislead(recorder, hostile):
    content = hostile.good()
    put(content, TEXT + LAYOUT.text_length, 0xFFFFFFFFFFFFFFFF)
    put(content, TEXT + 256 + LAYOUT.text_length, 0x40000000)
    put(content, TEXT + 256 + LAYOUT.text_state, (4 | 8) << LAYOUT.text_kind)
    put(content, TEXT + 512 + LAYOUT.object_size, 1 << 62)
    (frame,) = one(recorder, hostile, content).frames
    assert len(frame[0]) <= 4 * 4096
    assert recorder.announced == 1


def test_random_memory(recorder, hostile):
    source = random.Random(4)
    places = [RUNTIME, INTERPRETER, THREAD, CFRAME, FRAME, CODE, TEXT, TYPE]
    seen = set()
    started = time.monotonic()
    for _ in range(400):
        content = hostile.good()
        for _ in range(source.randrange(1, 12)):
            at = source.choice(places) + source.randrange(0, 256, 8)
            value = source.choice(
                [source.choice(places) + hostile.base, source.randrange(1 << 64), 0, 0xFF, 1 << 47]
            )
            put(content, at, value)
        stack = one(recorder, hostile, content)
        assert len(stack.words) <= 127
        seen.add(STATUSES[stack.status])
    assert {"complete", "read_fault", "bad_code"} <= seen
    assert time.monotonic() - started < 20
