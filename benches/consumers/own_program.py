"""The recorder with a program of the user's own: ``LOAD NAME OBJECT`` records into a session.

It is the recorder's whole loop, Arrow and disk included; the kind is registered in its process.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from benches.consumers import fail, serve
from benches.harness import Load
from workbench import kinds
from workbench.errors import WorkbenchError
from workbench.kinds import CaptureKind
from workbench.recorder.capture_loop import CaptureLoop
from workbench.recorder.spec import Spec, Target

RING_BYTES = 1 << 25
"""Of each CPU, as the kind ``syscalls`` has it."""


def main(load: Load, name: str, path: str) -> None:
    kinds.register(
        CaptureKind(name, answers="", cost="", probes=(), ring_bytes=RING_BYTES, object=path)
    )
    with tempfile.TemporaryDirectory(prefix="workbench-bench-") as directory:
        output = str(Path(directory, "own.wb"))
        spec = Spec({name: {}}, output, Target(pid=load.root), pack=False).checked()
        progress: dict[str, Any] = {"dropped": 0}

        def tell(message: dict[str, Any]) -> None:
            progress.update(message)
            if message["event"] == "ready":
                serve(load, lambda: {"delivered": loop.rows, "dropped": progress["dropped"]})

        stop, _keep = os.pipe()
        loop = CaptureLoop(spec, (stop, -1), tell)
        loop.run()


if __name__ == "__main__":
    try:
        main(Load.parse(sys.argv[1]), *sys.argv[2:])
    except WorkbenchError as error:
        fail(str(error))
