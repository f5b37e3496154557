"""Which of Debian's BCC tools compile and load unchanged as cells: makes docs/bcc-tools.md.

Each tool runs with a class in place of BCC's that takes its C text after all substitutions, the
places of its functions, and ends it before it waits for events. The text then goes the way of a
``%%bpf`` cell: compiled against headers made from BTF, every function loaded.

    .venv/bin/python tools/bcc_tools.py [TOOL ...]      # some tools, printed
    .venv/bin/python tools/bcc_tools.py --write         # all of them, into docs/bcc-tools.md
    .venv/bin/python tools/bcc_tools.py --write TOOL    # the rest of the page stays
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
FOLDER = Path("/usr/sbin")
SUFFIX = "-bpfcc"
MARK = "CAPTURED "
DATABASE = "BCC_TOOLS_DATABASE"
"""Variable with the process id of the program that stands in for a database."""

# What a tool has to be given to run at all. A pid is this process's own; that of a database is of
# a program with such USDT probes.
ARGUMENTS: dict[str, list[str]] = {
    "argdist": ["-C", "p:c:malloc(size_t size):size_t:size"],
    "biolatpcts": ["vda"],
    "dbslower": ["mysql", "-p", "DATABASE"],
    "dbstat": ["mysql", "-p", "DATABASE"],
    "deadlock": ["PID"],
    "dirtop": ["-d", "/var"],
    "funccount": ["c:malloc"],
    "funcinterval": ["c:malloc"],
    "funclatency": ["c:malloc"],
    "funcslower": ["c:malloc"],
    "inject": ["kmalloc", "-P", "0.01"],
    "memleak": ["-p", "PID"],
    "mysqld_qslower": ["DATABASE"],
    "netqtop": ["-n", "lo"],
    "stackcount": ["c:malloc"],
    "tcpsubnet": ["127.0.0.1/8"],
    "trace": ["c:malloc"],
    "ttysnoop": ["/dev/null"],
    "uflow": ["-l", "python", "PID"],
    "ucalls": ["-L", "PID"],
    "syscount": [],
}
_KINDS = {
    "attach_kprobe": 2,
    "attach_kretprobe": 2,
    "attach_uprobe": 2,
    "attach_uretprobe": 2,
    "attach_tracepoint": 5,
    "attach_raw_tracepoint": 17,
    "attach_perf_event": 7,
    "attach_perf_event_raw": 7,
    "attach_kfunc": 26,
    "attach_kretfunc": 26,
    "attach_lsm": 29,
}
DOCUMENT = ROOT / "docs" / "bcc-tools.md"
RUN = {
    # tool: what of its tables was compared with what; the tests of the same names
    "argdist": "calls of getpgid() by argument",
    "bashreadline": "lines that a shell was given",
    "biolatpcts": "requests of a disk by kind",
    "biopattern": "requests of a disk, sequential and random, and their bytes",
    "dbslower": "queries of a program with USDT probes, their texts and times",
    "dbstat": "queries of a program with USDT probes, counted",
    "deadlock": "locks that two threads took in opposite orders",
    "exitsnoop": "exit code and process",
    "funccount": "calls of getppid()",
    "funcinterval": "calls of getppid() in the histogram",
    "funclatency": "calls of getppid() in the histogram",
    "funcslower": "slow calls of usleep(), their arguments and times",
    "gethostlatency": "hosts that were looked up",
    "memleak": "addresses, sizes and stack of what was not freed",
    "mysqld_qslower": "queries of a program with USDT probes, their texts and times",
    "netqtop": "datagrams of a network device by direction and size",
    "profile": "samples are of the one process",
    "runqlat": "waits of a process that sleeps so often",
    "runqslower": "waits of a process that sleeps so often",
    "sslsniff": "bytes both ways through TLS",
    "stackcount": "calls of getppid() by stack",
    "syscount": "system calls of dd",
    "tcplife": "bytes both ways of a connection",
    "tcpstates": "states of a connection, in pairs",
    "threadsnoop": "threads that were started",
    "trace": "one event for each call of getppid()",
    "wakeuptime": "time that a process slept",
}
PAGE = """\
# Debian's BCC tools as cells

Made by `tools/bcc_tools.py` ({kernel}; BCC 0.26, against {headers}). Each tool of `bpfcc-tools`
that has a program ran with a class in place of BCC's that took its C text after all substitutions;
the text then went the way of a `%%bpf` cell. Of {tools} tools {compiled} compile, and {loaded}
compile with every function loaded. {run} were run on a workload with a known answer
(`tests/kernel/test_truth_bcc_tools*.py`).

Functions that go to kprobes load everywhere; to attach them takes a kernel with kprobes.

| tool | compiles | functions loaded | attached by | run and compared |
|---|---|---|---|---|
{rows}
"""
WAYS = {2: "kprobe, uprobe or USDT", 5: "tracepoint", 7: "perf event", 17: "raw tracepoint"}
WAYS |= {26: "fentry", 29: "lsm", 1: "socket filter", 3: "tc", 6: "xdp"}


class _Done(BaseException):
    """The tool has set up all it needs."""


class Capture:
    """What a tool asked of BCC."""

    def __init__(self) -> None:
        self.programs: list[dict[str, Any]] = []

    def install(self) -> None:
        """Put a class that only takes notes in place of BCC's."""
        from workbench.probe import tracefs
        from workbench.probe.bcc.finder import load

        bcc = load()
        real, notes = bcc.BPF, self
        bcc.USDT = _noting_usdt(bcc.USDT)

        class Noting(real):  # type: ignore[misc, valid-type]
            def __init__(self, src_file="", hdr_file="", text=None, debug=0, cflags=(), **more):
                text = Path(os.fsdecode(src_file)).read_text() if src_file else text
                text = text.decode() if isinstance(text, bytes) else text
                self.note = {"cflags": [os.fsdecode(f) for f in cflags], "functions": {}}
                self.note["attach"] = {}
                self.note["text"] = text
                self.note["usdt"] = _usdt(bcc, more.get("usdt_contexts", ()))
                for place, function in (e for c in more.get("usdt_contexts", ()) for e in c.noted):
                    self.load_func(function, _KINDS["attach_uprobe"])
                    self.note["attach"].setdefault(function, []).append(place)
                notes.programs.append(self.note)
                self.funcs, self.tables = {}, {}

            def __getitem__(self, name):
                return mock.MagicMock()

            def get_table(self, *_, **__):
                return mock.MagicMock()

            def load_func(self, name, kind, *_, **__):
                self.note["functions"].setdefault(os.fsdecode(name), kind)
                return mock.MagicMock()

            def cleanup(self):
                pass

        def attaching(method, kind):
            def attach(self, *arguments, **named):
                at = arguments[2:3] or arguments[1:2]
                name = os.fsdecode(named.get("fn_name") or (at[0] if at else ""))
                if not name:
                    return
                place = _place(method, arguments, named)
                if place.startswith(("uprobe:", "uretprobe:")):
                    _look_up(real, place)
                self.load_func(name, kind)
                if place:
                    self.note["attach"].setdefault(name, []).append(place)

            return attach

        def ends(*_, **__):
            raise _Done

        for name in dir(real):
            if name in _KINDS:
                setattr(Noting, name, attaching(name, _KINDS[name]))
            elif name.startswith(("detach_", "remove_")):
                setattr(Noting, name, lambda *_, **__: None)
            elif name.endswith("_poll") or name.startswith(("trace_", "ring_buffer_")):
                setattr(Noting, name, ends)

        @cache
        def known():
            with tracefs.events() as folder:
                return {f"{e.parent.name}:{e.name}" for e in folder.glob("*/*") if e.is_dir()}

        @cache
        def symbols():
            return {s.split()[2] for s in Path("/proc/kallsyms").read_bytes().splitlines()}

        def functions(pattern):
            import re

            pattern = pattern if isinstance(pattern, bytes) else pattern.encode()
            return [s for s in symbols() if re.fullmatch(pattern, s)]

        Noting.get_kprobe_functions = staticmethod(functions)
        Noting.tracepoint_exists = staticmethod(lambda c, e: f"{c}:{e}" in known())
        Noting.support_kfunc = staticmethod(lambda: False)  # kprobes are in every tool
        Noting.num_open_kprobes = Noting.num_open_uprobes = lambda _: 1
        Noting.num_open_tracepoints = lambda _: 1
        bcc.BPF = Noting
        _pretend()
        import time

        time.sleep = ends


# Symbols and folders that tools look for before they go on, of file systems and options that a
# kernel may lack: their programs are the same with them.
SYMBOLS = "".join(
    f"ffffffff81000001 D {name}\n"
    for name in ("btrfs_file_operations", "ext4_file_operations", "vm_zone_stat", "vm_stat")
)


def _pretend() -> None:
    import builtins

    real_open, real_exists = builtins.open, os.path.exists

    def opened(path, mode="r", *arguments, **named):
        if str(path) == "/proc/kallsyms":
            text = Path("/proc/kallsyms").read_text() + SYMBOLS
            return io.BytesIO(text.encode()) if "b" in mode else io.StringIO(text)
        return real_open(path, mode, *arguments, **named)

    builtins.open = opened
    os.path.exists = lambda path: "preempt" in str(path) or real_exists(path)


def _place(method: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> str:
    """Write a call of BCC's attach_* as the place of a cell's function; "" where it has no form."""
    words = {name: os.fsdecode(v) if isinstance(v, bytes) else v for name, v in named.items()}
    first = os.fsdecode(arguments[0]) if arguments and isinstance(arguments[0], str | bytes) else ""
    kind = method.removeprefix("attach_")
    if kind in ("uprobe", "uretprobe"):
        symbol = words.get("sym") or words.get("sym_re", "").strip("^$")
        at = hex(words["addr"]) if words.get("addr") else symbol
        return f"{kind}:{words.get('name') or first}:{at}" if at else ""
    if kind in ("tracepoint", "raw_tracepoint"):
        name = words.get("tp") or first
        return f"tracepoint:{name}" if kind == "tracepoint" else f"rawtp:{name}"
    if kind == "perf_event" and words.get("ev_type") == 1 and words.get("ev_config") == 0:
        return f"perf:cpu-clock:{words['sample_freq']}" if words.get("sample_freq") else ""
    return ""


def _look_up(bpf: Any, place: str) -> None:
    """Fail as BCC does where a library is there and has no such function: tools try several."""
    library, _, symbol = place.partition(":")[2].rpartition(":")
    if "/" not in library and not symbol.startswith("0x") and bpf.find_library(library):
        bpf._check_path_symbol(library.encode(), symbol.encode(), None, -1)


def _noting_usdt(real: Any) -> Any:
    """BCC's class of USDT probes, which notes their places as those of a cell."""

    class Noting(real):  # type: ignore[misc]
        def __init__(self, pid=None, path=None):
            super().__init__(pid=pid, path=path)
            self.file, self.noted = path or str(Path(f"/proc/{pid}/exe").readlink()), []

        def enable_probe(self, probe, fn_name):
            super().enable_probe(probe, fn_name)
            self.noted.append((f"usdt:{self.file}:{probe}", fn_name))

    return Noting


def _usdt(bcc: Any, contexts: Any) -> str:
    import ctypes as c

    if not contexts:
        return ""
    array = (c.c_void_p * len(contexts))(*(c.c_void_p(each.get_context()) for each in contexts))
    return (bcc.lib.bcc_usdt_genargs(array, len(contexts)) or b"").decode()


def capture(tool: str, words: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Run a tool in this process; return its programs."""
    import curses

    notes = Capture()
    notes.install()
    for name in ("initscr", "nocbreak", "cbreak", "noecho", "echo", "endwin", "curs_set"):
        setattr(curses, name, mock.MagicMock())
    pids = {"PID": str(os.getppid()), "DATABASE": os.environ.get(DATABASE, "")}
    words = words or [pids.get(word, word) for word in ARGUMENTS.get(tool, [])]
    sys.argv = [str(FOLDER / f"{tool}{SUFFIX}"), *words]
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output):
            runpy.run_path(sys.argv[0], run_name="__main__")
    except (_Done, SystemExit):
        pass
    except Exception as error:
        print(f"{tool}: {type(error).__name__}: {error}", file=sys.stderr)
    return notes.programs


def load_all(program: dict[str, Any]) -> dict[str, Any]:
    """Compile a program as a cell would be, and load its functions."""
    from workbench.errors import WorkbenchError
    from workbench.probe.bcc.attach import TYPES, by_name
    from workbench.probe.bcc.module import Module

    found: dict[str, Any] = {"compiles": False, "loaded": [], "refused": {}, "why": ""}
    try:
        module = Module(program["usdt"] + program["text"], cflags=program["cflags"])
    except WorkbenchError as error:
        return found | {"why": error.why}
    with module:
        found["compiles"] = True
        for name in module.functions:
            place = by_name(name)
            kind = program["functions"].get(name) or (TYPES[place[0]] if place else 0)
            if not kind:  # the tool itself never loads it
                continue
            try:
                module.load(name, kind)
                found["loaded"].append([name, kind])
            except WorkbenchError as error:
                found["refused"][name] = [kind, error.why.splitlines()[-1] if error.why else ""]
    return found


def child(tool: str, words: Sequence[str], *, only_take: bool) -> None:
    """Capture a tool and load what it has, or only take its programs; print it for the parent."""
    programs = capture(tool, words)
    if only_take:
        print(MARK + json.dumps(programs), flush=True)
        os._exit(0)
    import importlib

    bcc = importlib.import_module("bcc")
    bcc.BPF = bcc.BPF.__mro__[1]
    print(MARK + json.dumps([load_all(each) for each in programs]), flush=True)
    os._exit(0)


def tools() -> list[str]:
    """Tools that are Python and have a program."""
    found = []
    for path in sorted(FOLDER.glob(f"*{SUFFIX}")):
        text = path.read_text(errors="replace")
        if text.startswith("#!") and "python" in text.split("\n", 1)[0] and "BPF(" in text:
            found.append(path.name.removesuffix(SUFFIX))
    return found


def examine(tool: str, *words: str, take: bool = False) -> list[dict[str, Any]] | None:
    """Run :func:`child` in a process of its own; None if nothing came of it.

    With ``take`` the tool gets these words as its arguments, and its programs are returned.
    """
    how = "--take" if take else "--child"
    command = [sys.executable, __file__, how, tool, "--", *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    except subprocess.TimeoutExpired:
        return None
    for line in done.stdout.splitlines():
        if line.startswith(MARK):
            return list(json.loads(line.removeprefix(MARK)))
    return None


def row(tool: str, result: list[dict[str, Any]] | None) -> str:
    """The line of a tool."""
    if not result:
        return line(tool, "no program was taken", "", "")
    compiles = all(each["compiles"] for each in result)
    loaded = [pair for each in result for pair in each["loaded"]]
    refused = {k: v for each in result for k, v in each["refused"].items()}
    ways = {WAYS.get(kind, str(kind)) for _, kind in loaded}
    ways |= {WAYS.get(kind, str(kind)) for kind, _ in refused.values()}
    count = f"{len(loaded)} of {len(loaded) + len(refused)}" if compiles else ""
    why = next((each["why"].splitlines()[0] for each in result if each["why"]), "")
    verdict = "yes" if compiles else f"no: {why.replace('|', '/')[:90]}"
    return line(tool, verdict, count, ", ".join(sorted(ways)))


def cells_of(line: str) -> list[str]:
    """The five texts of a line of the table."""
    return [cell.strip() for cell in line.split("|")[1:6]]


def kept(page: str, rows: list[str]) -> list[str]:
    """Lines of an earlier page for the tools that have none now."""
    new = {cells_of(each)[0] for each in rows}
    old = [cells_of(each) for each in page.splitlines() if each.startswith("| ")]
    return [line(*each[:4]) for each in old if each[0] not in new | {"tool"}]


def line(tool: str, *cells: str) -> str:
    """One line of the table."""
    return f"| {' | '.join((tool, *cells, RUN.get(tool, '')))} |"


def document(rows: list[str]) -> str:
    """Return the page with the table."""
    from workbench.probe.bcc import headers

    cells = [cells_of(each) for each in rows]
    compiled = [each for each in cells if each[1] == "yes"]
    loaded = [each for each in compiled if len(set(each[2].split(" of "))) == 1]
    return PAGE.format(
        kernel=f"Linux {platform.release()}, {platform.machine()}",
        headers="headers made from BTF" if headers.find().made else "the kernel's own headers",
        tools=len(rows),
        compiled=len(compiled),
        loaded=len(loaded),
        run=len(RUN),
        rows="\n".join(sorted(rows)),
    )


@contextlib.contextmanager
def database() -> Iterator[None]:
    """Let a program with the USDT probes of a database wait meanwhile."""
    tests = ROOT / "tests"
    with tempfile.TemporaryDirectory() as folder:
        command = ["gcc", "-O1", "-include", str(tests / "sdt.h"), "-o", f"{folder}/queries"]
        subprocess.run([*command, str(tests / "queries.c")], check=True)
        with subprocess.Popen([f"{folder}/queries"]) as process:
            os.environ[DATABASE] = str(process.pid)
            try:
                yield
            finally:
                del os.environ[DATABASE]
                process.kill()


def main() -> int:
    """Run as a script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tools", nargs="*")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--child")
    parser.add_argument("--take")
    arguments = parser.parse_args()
    if arguments.child or arguments.take:
        tool = arguments.take or arguments.child
        child(tool, arguments.tools, only_take=bool(arguments.take))
    rows = []
    with database():
        for tool in arguments.tools or tools():
            rows.append(row(tool, examine(tool)))
            print(rows[-1], flush=True)
    if arguments.write:
        if arguments.tools:
            rows += kept(DOCUMENT.read_text(), rows)
        DOCUMENT.parent.mkdir(exist_ok=True)
        DOCUMENT.write_text(document(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
