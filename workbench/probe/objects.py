"""A BPF object file: opened, set up, loaded, attached, closed.

Nothing is pinned: programs, maps and links live exactly as long as this process holds their
file descriptors, so the kernel takes them away even after ``kill -9``.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import AttachError, LoadError, MapError, ObjectFormatError, ParameterError
from workbench.probe import btf as b
from workbench.probe.clib import U, errno_text, last_errno, lib, log_capture, not_permitted
from workbench.probe.format_check import check_object
from workbench.probe.layout import Layout, event_layout, scalar_dtype
from workbench.probe.maps import Map
from workbench.probe.privileges import refusal_advice

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from workbench.probe.btf import Btf

LOG_LINES = 12
DETACHED_AT_ONCE = 32


@dataclass
class Link:
    """An attached program; detached by :meth:`close` or when this process ends."""

    handle: int

    def close(self) -> None:
        """Detach. Safe to call twice."""
        if self.handle:
            lib().bpf_link__destroy(self.handle)
            self.handle = 0


@dataclass(frozen=True)
class Program:
    """A program of an object."""

    handle: int
    name: str
    section: str

    @property
    def fd(self) -> int:
        """File descriptor, or -1 before loading."""
        return int(lib().bpf_program__fd(self.handle))

    @property
    def optional(self) -> bool:
        """Whether it stays unloaded unless it is taken: its section begins with ``?``."""
        return not lib().bpf_program__autoload(self.handle)

    def take(self) -> None:
        """Load this optional program, too."""
        lib().bpf_program__set_autoload(self.handle, True)

    def leave_out(self) -> None:
        """Do not load this program."""
        lib().bpf_program__set_autoload(self.handle, False)

    def attach(self) -> Link:
        """Attach to what the section name says (tp_btf, raw_tp, tracepoint, ...).

        Raises
        ------
        AttachError, NotPermittedError
        """
        with log_capture() as log:
            link = lib().bpf_program__attach(self.handle)
            number = last_errno()
        return self._link(link, number, log)

    def run_iterator(self) -> bytes:
        """Run an iterator (``iter/...``) from its first to its last element, and detach it.

        Returns
        -------
        bytes
            What the program has written for user space.

        Raises
        ------
        AttachError, NotPermittedError
        """
        link = self.attach()
        try:
            fd = lib().bpf_iter_create(lib().bpf_link__fd(link.handle))
            if fd < 0:
                self._link(None, -fd, [])
            with os.fdopen(fd, "rb") as file:
                return file.read()
        finally:
            link.close()

    def attach_perf_event(self, fd: int) -> Link:
        """Attach to an open perf event, which the link then owns."""
        with log_capture() as log:
            link = lib().bpf_program__attach_perf_event(self.handle, fd)
            number = last_errno()
        return self._link(link, number, log)

    def _link(self, link: int | None, number: int, log: list[str]) -> Link:
        if link:
            return Link(link)
        what = f"Program {self.name} cannot be attached to {self.section}."
        if number in (errno.EPERM, errno.EACCES):
            raise not_permitted(what, number)
        advice = "Does that place exist on this kernel? `workbench doctor` lists what it has."
        raise AttachError(what, why=f"{errno_text(number)}. {tail(log)}".strip(), advice=advice)


class Object:
    """A BPF object file.

    Parameters
    ----------
    path : path
        A ``.bpf.o`` file, made by ``clang -g -target bpf``.

    Raises
    ------
    ObjectFormatError
        Not a BPF object, of another byte order, without BTF or licence, ...

    Examples
    --------
    >>> with Object(path) as obj:                      # doctest: +SKIP
    ...     obj.set("wb_by_tree", 1)
    ...     obj.maps["wb_targets"].resize(1 << 10)
    ...     obj.load()
    ...     links = [p.attach() for p in obj.programs.values()]
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.loaded = False
        self._handle = 0
        self._links: list[Link] = []
        check_object(self.path)
        with log_capture() as log:
            handle = lib().bpf_object__open_file(str(self.path).encode(), None)
            number = last_errno()
        if not handle:
            raise ObjectFormatError(
                f"{self.path.name} cannot be opened as a BPF object.",
                why=f"{errno_text(number)}. {tail(log)}",
                advice="Build it again with `make bpf`.",
            )
        self._handle = handle
        try:
            self.btf = self._read_btf(log)
            self.maps = {m.name: m for m in self._maps()}
            self.programs = {p.name: p for p in self._programs()}
            self.parameters = self._parameters()
        except BaseException:
            self.close()
            raise

    def _read_btf(self, log: list[str]) -> Btf:
        # libbpf fills in the offsets of global variables that clang leaves to the linker.
        size = U()
        handle = lib().bpf_object__btf(self._handle)
        if not handle:  # libbpf opens an object whose BTF it does not need and cannot read
            raise ObjectFormatError(
                f"The BTF of {self.path.name} cannot be read.",
                why=tail(log),
                advice="Build it again with `make bpf`.",
            )
        data = lib().btf__raw_data(handle, size)
        import ctypes

        return b.Btf.parse(ctypes.string_at(data, size.value), self.path.name)

    def _maps(self) -> list[Map]:
        found, handle = [], lib().bpf_object__next_map(self._handle, None)
        while handle:
            name = lib().bpf_map__name(handle).decode()
            # Global data maps are named "object.rodata": keep the part behind the dot.
            if lib().bpf_map__is_internal(handle):
                name = name[name.index(".") :]
            found.append(Map(handle, name))
            handle = lib().bpf_object__next_map(self._handle, handle)
        return found

    def _programs(self) -> list[Program]:
        found, handle = [], lib().bpf_object__next_program(self._handle, None)
        while handle:
            name = lib().bpf_program__name(handle).decode()
            found.append(Program(handle, name, lib().bpf_program__section_name(handle).decode()))
            handle = lib().bpf_object__next_program(self._handle, handle)
        return found

    def _parameters(self) -> dict[str, tuple[int, np.dtype[Any]]]:
        """``const volatile`` globals: name to (offset, dtype)."""
        found = {}
        for name, (type_id, offset, size) in self.btf.datasec(".rodata").items():
            kind, _ = self.btf.resolve(type_id)
            try:
                if kind.kind == b.ARRAY:
                    inner, _ = self.btf.resolve(kind.type_id)
                    dtype = np.dtype((scalar_dtype(inner, name), (kind.count,)))
                else:
                    dtype = scalar_dtype(kind, name)
            except ObjectFormatError:
                continue  # a constant of the program, not a parameter
            if dtype.itemsize == size:
                found[name] = (offset, dtype)
        return found

    def set(self, name: str, value: Any) -> None:
        """Set a ``const volatile`` parameter before loading.

        Parameters
        ----------
        value : int, bytes, sequence or numpy array
            Must fit the C type; shorter sequences are filled with zeros.

        Raises
        ------
        ParameterError
        """
        if self.loaded or name not in self.parameters:
            why = "the object is loaded" if self.loaded else f"it has {sorted(self.parameters)}"
            raise ParameterError(f"Parameter {name} of {self.path.name} cannot be set.", why=why)
        offset, dtype = self.parameters[name]
        if isinstance(value, bytes):
            value = np.frombuffer(value, np.uint8).astype(dtype.base)
        data = np.zeros(dtype.shape, dtype.base)
        try:
            part = data[: len(value)] if dtype.shape else data
            part[...] = value
            why = "" if np.array_equal(part, value) else f"it is no {dtype.base}"  # cut, wrapped
        except (OverflowError, ValueError, TypeError) as error:
            why = str(error)
        if why:
            raise ParameterError(f"{name} cannot be {value!r}.", why=why)
        memory = self.maps[".rodata"].initial()
        memory[offset : offset + dtype.itemsize] = np.frombuffer(data.tobytes(), np.uint8)

    def layout(self, event: str) -> Layout:
        """Layout of ``struct event``; see :func:`workbench.probe.layout.event_layout`."""
        return event_layout(self.btf, event)

    def global_array(self, name: str) -> np.ndarray[Any, np.dtype[Any]]:
        """View of a global array of structs in ``.bss``, shared with the kernel.

        Raises
        ------
        MapError
        """
        variables = self.btf.datasec(".bss")
        if name not in variables:
            raise MapError(f"{self.path.name} has no global variable {name}.")
        type_id, offset, size = variables[name]
        array, _ = self.btf.resolve(type_id)
        element, _ = self.btf.resolve(array.type_id)
        dtype = event_layout(self.btf, element.name).dtype
        return self.maps[".bss"].memory()[offset : offset + size].view(dtype)

    def load(self) -> None:
        """Create the maps and load the programs.

        Raises
        ------
        LoadError
            With the end of the verifier's log.
        NotPermittedError
        """
        with log_capture() as log:
            err = lib().bpf_object__load(self._handle)
        if not err:
            self.loaded = True
            return
        number = -err
        what = f"The kernel refused {self.path.name}."
        text = "".join(log)
        if number == errno.EPERM and "processed " not in text:
            raise not_permitted(what, number)
        raise LoadError(
            what,
            why=f"{errno_text(number)}. {tail(log)}",
            advice=refusal_advice(text) or "`workbench doctor` shows what this kernel lacks.",
            log=text,
        )

    def attach(self, program: Program) -> Link:
        """Attach a program by its section; detached when the object is closed."""
        self._links.append(program.attach())
        return self._links[-1]

    def attach_perf_event(self, program: Program, fd: int) -> Link:
        """Attach a program to a perf event; detached when the object is closed."""
        self._links.append(program.attach_perf_event(fd))
        return self._links[-1]

    def hold(self, link: Link) -> Link:
        """Take over a link that :mod:`workbench.probe.attach` made."""
        self._links.append(link)
        return link

    def release(self, links: list[Link]) -> None:
        """Close links that are held, at once, and forget them."""
        gone = {id(link) for link in links}
        self._links = [link for link in self._links if id(link) not in gone]
        _close_all(list(links))

    def detach(self) -> None:
        """Detach all programs; maps and buffers stay readable."""
        detach_all([self])

    def give_links(self) -> list[Link]:
        """Hand over what is attached, for the caller to close."""
        links, self._links = self._links, []
        return links

    def close(self) -> None:
        """Detach and unload all. Safe to call twice."""
        self.detach()
        if self._handle:
            lib().bpf_object__close(self._handle)
            self._handle = 0

    def __enter__(self) -> Object:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def detach_all(objects: Iterable[Object]) -> None:
    """Detach the programs of several objects at once; their maps and buffers stay readable.

    To detach from a function of a program, the kernel waits until no CPU can be in the probe any
    more (``perf_trace_event_unreg()``, kernel/trace/trace_event_perf.c): 0.1 s, in which all can
    be waited for that are detached at the same time.
    """
    _close_all([link for each in objects for link in each.give_links()])


def _close_all(links: list[Link]) -> None:
    def close_some() -> None:
        while True:
            try:
                link = links.pop()
            except IndexError:  # another thread has taken the last one
                return
            link.close()

    helpers = [Thread(target=close_some) for _ in range(min(len(links), DETACHED_AT_ONCE) - 1)]
    begun = []
    with suppress(RuntimeError):  # no more threads can be had: then fewer do it
        for helper in helpers:
            helper.start()
            begun.append(helper)
    close_some()
    for helper in begun:
        helper.join()


def tail(log: list[str]) -> str:
    """Return the last lines of a log, without libbpf's own summary lines."""
    lines = [line.rstrip() for line in "".join(log).splitlines() if line.strip()]
    body = [line for line in lines if not line.startswith(("processed ", "-- END PROG LOAD LOG"))]
    cut = next((i for i, s in enumerate(body) if "END PROG LOAD LOG" in s), len(body))
    return "\n".join(body[:cut][-LOG_LINES:])
