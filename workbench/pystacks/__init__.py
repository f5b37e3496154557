"""Python frames: CPython's own stacks beside the native ones.

The kernel side (``bpf/python.bpf.h``) walks the frames of the running thread and sends two words
for each. Here lies what it needs to know of each process, and what its words mean:

- :class:`PythonProcesses` finds interpreters and fills the map ``wb_python``;
- :class:`CodeTable` takes the code objects of the ring ``wb_python_codes``;
- :class:`PythonFrames` turns words into frames with function, file and exact line;
- :func:`merge` puts them where the native stack runs the interpreter's loop.
"""

from workbench.pystacks.codes import CodeTable
from workbench.pystacks.frames import STATUSES, PythonFrames, chain_statuses
from workbench.pystacks.interpreter import Interpreter, PythonStatus, find_interpreter
from workbench.pystacks.merging import merge, native_class
from workbench.pystacks.processes import PythonProcesses

__all__ = [
    "STATUSES",
    "CodeTable",
    "Interpreter",
    "PythonFrames",
    "PythonProcesses",
    "PythonStatus",
    "chain_statuses",
    "find_interpreter",
    "merge",
    "native_class",
]
