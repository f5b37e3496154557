"""Functions of BCC cells and their places."""

from typing import ClassVar

import pytest

from workbench.cells import bcc_engine
from workbench.cells.bcc_engine import BccEngine
from workbench.cells.engine import Source
from workbench.errors import AttachError


class Module:
    """A program with functions, which was not compiled."""

    made: ClassVar = []

    def __init__(self, text, **options):
        self.functions = text.split()
        self.options = options
        self.tables, self.buffers = {}, {}
        self.closed = self.finished = False
        Module.made.append(self)

    def close(self):
        self.closed = True

    def finish(self):
        self.finished = True

    def losses(self, outlet):
        return (len(outlet), 0)

    def missed(self):
        return {self.functions[0]: 2}


class Attachments:
    def __init__(self, _, pid):
        self.done, self.pid = [], pid

    def attach(self, *place):
        self.done.append(place)

    def close(self):
        self.done.clear()


@pytest.fixture(autouse=True)
def _no_compiler(monkeypatch):
    monkeypatch.setattr(bcc_engine, "Module", Module)
    monkeypatch.setattr(bcc_engine, "Attachments", Attachments)
    Module.made.clear()


def test_functions_go_where_their_names_or_declarations_say():
    text = "kprobe__vfs_read tracepoint__sched__sched_switch on_malloc"
    places = {"on_malloc": ["uprobe:c:malloc", "uprobe:c:calloc"]}
    engine = BccEngine(Source(text, attach=places, pid=7, defines={"A": 1}))
    assert engine.module.options["defines"] == {"A": 1}
    assert not engine.module.finished
    engine.attach()
    assert engine.module.finished
    assert sorted(engine._attached.done) == [
        ("kprobe__vfs_read", "kprobe", "vfs_read"),
        ("on_malloc", "uprobe", "c:calloc"),
        ("on_malloc", "uprobe", "c:malloc"),
        ("tracepoint__sched__sched_switch", "tracepoint", "sched:sched_switch"),
    ]
    assert engine._attached.pid == 7
    assert engine.losses("abc") == (3, 0)
    assert engine.missed() == {"kprobe__vfs_read": 2}
    engine.detach()
    assert engine._attached.done == []
    engine.close()
    assert engine.module.closed


@pytest.mark.parametrize(
    ("text", "attach", "said"),
    [
        ("f kprobe__x", {}, "Function f is attached nowhere"),
        ("f", {"g": ["uprobe:c:malloc"], "f": ["uprobe:c:free"]}, "no function g"),
    ],
)
def test_functions_without_a_place(text, attach, said):
    with pytest.raises(AttachError, match=said) as caught:
        BccEngine(Source(text, attach=attach))
    assert "it has f" in caught.value.why or "--attach f=" in caught.value.advice
    assert Module.made[0].closed


@pytest.mark.parametrize("place", ["nothing", "usdt:/no/such/file:probe", "made_up:x"])
def test_places_that_make_no_sense(place):
    with pytest.raises(AttachError):
        BccEngine(Source("f", attach={"f": [place]}))
    assert Module.made == []
