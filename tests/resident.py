"""How much memory a piece of work takes at most, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

# Without pages of mapped files: the kernel takes those back when it needs memory.
_MEASURE = """\
import sys, threading

def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("RssAnon"))

def watch():
    global top
    while not done.wait(0.002):
        top = max(top, resident())

{before}
done, top = threading.Event(), 0
base = resident()
watching = threading.Thread(target=watch)
watching.start()
{work}
top = max(top, resident())
done.set()
watching.join()
print(top - base)
"""


def most_bytes(before: str, work: str, *arguments: object) -> int:
    """Return by how many anonymous bytes a process grows at most while it does some work.

    Parameters
    ----------
    before, work : str
        Python code; only what `work` needs is counted.
    *arguments : object
        ``sys.argv[1:]`` of it, as texts.
    """
    code = _MEASURE.format(before=before, work=work)
    command = [sys.executable, "-c", code, *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(run.stdout)
