"""``%%bpf`` in an IPython shell."""

import signal
import threading

import pytest

pytest.importorskip("IPython")
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from workbench.cells import magic
from workbench.errors import LoadError


class Cell:
    def __init__(self):
        self.state = "ready"

    def start(self):
        self.state = "running"
        return self

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.state = "ended"


@pytest.fixture
def asked(monkeypatch):
    calls = []

    def bpf(text, **options):
        calls.append({"text": text, **options})
        if "bad" in text:
            raise LoadError("The C text does not compile.", why="line 2: error: bad")
        return Cell()

    monkeypatch.setattr(magic, "bpf", bpf)
    return calls


@pytest.fixture(scope="module")
def shell():
    made = InteractiveShell.instance()
    made.register_magics(magic.BpfMagics)
    yield made
    InteractiveShell.clear_instance()


def test_options(shell, asked):
    shell.user_ns["SIZE"] = 64
    line = "--core --duration 2 --pid 7 --attach f=uprobe:c:malloc --attach f=uprobe:c:free "
    line += "--define N=SIZE --define M=5 --event 'out=struct event' --into c "
    made = shell.run_cell_magic("bpf", line + "--command \"sh -c 'exit 3'\"", "int x;\n")
    assert shell.user_ns["c"] is made
    (call,) = asked
    assert call == {
        "text": "\nint x;\n",  # so that its lines are those of the whole cell
        "core": True,
        "attach": {"f": ["uprobe:c:malloc", "uprobe:c:free"]},
        "duration": 2.0,
        "command": ["sh", "-c", "exit 3"],
        "pid": 7,
        "defines": {"N": 64, "M": "5"},
        "events": {"out": "struct event"},
    }


def test_in_the_background(shell, asked):
    assert shell.run_cell_magic("bpf", "--background", "int x;").state == "running"


def test_until_interrupted(shell, asked):
    main = threading.main_thread().ident
    timer = threading.Timer(0.2, signal.pthread_kill, (main, signal.SIGINT))
    timer.start()
    made = shell.run_cell_magic("bpf", "", "int x;")
    timer.join()
    assert made.state == "ended"


@pytest.mark.parametrize(
    ("line", "text", "said"),
    [
        ("--duration 1", "bad", "line 2: error: bad"),
        ("--attach f", "int x;", "'f' is not NAME=VALUE"),
        ("--duration soon", "int x;", "invalid float"),
    ],
)
def test_what_is_wrong(shell, asked, line, text, said):
    with pytest.raises(UsageError, match=said):
        shell.run_cell_magic("bpf", line, text)
