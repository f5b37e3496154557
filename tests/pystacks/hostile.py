"""A process whose memory is made to mislead: fills a block as it is told, then calls getpgid."""

import base64
import ctypes
import os
import sys
import threading

SIZE = 1 << 20
block = ctypes.create_string_buffer(SIZE)
base = ctypes.addressof(block)
print(base, threading.get_ident(), threading.get_native_id(), flush=True)
for line in sys.stdin:
    content = base64.b64decode(line)
    ctypes.memmove(base, content, len(content))
    os.getpgid(0)
    print("done", flush=True)
