"""``%%profile`` in a real Jupyter kernel."""

import os
import re
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

ROOT = str(Path(__file__).parent.parent)
BURN = """
import time
def burn(s):  # of CPU time, however little of a busy machine it gets
    end = time.thread_time() + s
    while time.thread_time() < end: sum(range(999))
"""


def run(tmp_path, *cells):
    """Run cells; return the outputs of each."""
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client = nbclient.NotebookClient(
        made,
        timeout=60,
        kernel_name="python3",
        allow_errors=True,
        resources={"metadata": {"path": str(tmp_path)}},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", ROOT)
        patch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
        patch.setenv("TMPDIR", str(tmp_path))
        client.execute()
    return [cell.outputs for cell in made.cells]


def kinds_of(outputs):
    """Name every output: the stream's text, an error's name, "graph", or the value."""
    found = []
    for output in outputs:
        if output.output_type == "stream":
            found.append(output.text.strip())
        elif output.output_type == "error":
            found.append(output.ename)
        elif "wb-view" in output.data.get("text/html", ""):
            found.append("graph")
        else:
            found.append(output.data["text/plain"])
    return found


@pytest.mark.kernel
@pytest.mark.usefixtures("nothing_left")
def test_cells(tmp_path):
    cells = [
        "%load_ext workbench",
        BURN,
        "%%profile\nprint('begin')\nx = 6\nburn(0.3)\nx * 7",
        "%%profile --kinds cpu,offcpu --hz 499 --into p\nburn(0.2)\ntime.sleep(0.1)\n1 / 0",
        "print(x, p.kinds, p.session['cpu'].num_rows > 20, p.session.manifest.kinds['cpu']['hz'])",
        "%%profile\nburn(0.1)\n!echo from the shell",
        "import threading; del p; import gc; gc.collect()\nprint([t.name for t in "
        "threading.enumerate() if t.name == 'recorder'])",
        "%%bpf --core --duration 0.01\nint x = y;",
        "%unload_ext workbench",
        "%%profile\n1",
    ]
    outputs = run(tmp_path, *cells)
    shown = [kinds_of(each) for each in outputs]
    assert shown[:2] == [[], []]
    assert shown[2] == ["begin", "graph", "42"]
    assert sorted(shown[3]) == ["ZeroDivisionError", "graph", "graph"]
    trace = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(outputs[3][-1].traceback))
    assert "1 / 0" in trace
    assert "profiling.py" not in trace
    assert shown[4] == ["6 ('cpu', 'offcpu') True 499"]
    assert shown[5] == ["from the shell", "graph"]
    assert shown[6] == ["[]"]
    assert "line 2: error: use of undeclared identifier 'y'" in shown[7][0]
    assert "not found" in shown[9][0] or shown[9] == ["UsageError"]
    left = [path for folder in tmp_path.glob("workbench-*") for path in folder.iterdir()]
    assert left == []


def test_what_is_asked_wrongly(tmp_path):
    cells = [
        "%load_ext workbench",
        "%%profile --kinds no_such\nprint('ran')",
        "%%profile --hz many\nprint('ran')",
        "%%profile\nthis is no python",
    ]
    shown = [kinds_of(each) for each in run(tmp_path, *cells)]
    assert "There is no capture kind 'no_such'" in shown[1][0]
    assert all("ran" not in "".join(outputs).split() for outputs in shown)
    assert shown[3] == ["SyntaxError"]


def test_names_of_the_extension():
    magics = pytest.importorskip("workbench.magics")
    import workbench

    assert workbench.load_ipython_extension is magics.load_ipython_extension
    assert os.path.basename(magics.__file__) == "magics.py"
