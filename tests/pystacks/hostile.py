"""A process whose memory is made to mislead: fills a block as it is told, then calls getpgid.

A line is the number of the system call, the value of its second argument and thus of a register,
relative to the block, and the content.
"""

import base64
import ctypes
import sys
import threading

SIZE = 1 << 20
block = ctypes.create_string_buffer(SIZE)
base = ctypes.addressof(block)
call = ctypes.CDLL(None).syscall
print(base, threading.get_ident(), threading.get_native_id(), flush=True)
for line in sys.stdin:
    number, register, text = line.split()
    content = base64.b64decode(text)
    ctypes.memmove(base, content, len(content))
    call(int(number), 0, ctypes.c_ulong(base + int(register)))
    print("done", flush=True)
