"""A fixed amount of Python work for ``fixed.py AMOUNT``: recursion and json.

It says ``ready``, waits for a line, works, and prints its own wall and CPU seconds as JSON.
"""

import json
import sys
import time

DATA = {"rows": [{"id": i, "name": f"row {i}", "values": [i, i / 3, None]} for i in range(8)]}


def descend(depth):
    """Encode and decode at the end of a chain of calls."""
    if depth:
        return descend(depth - 1)
    return len(json.loads(json.dumps(DATA))["rows"])


def main():
    """Wait, work, tell."""
    amount = int(sys.argv[1])
    print("ready", flush=True)
    sys.stdin.readline()
    start, cpu = time.monotonic(), time.process_time()
    for number in range(amount):
        descend(number % 40)
    seconds = time.monotonic() - start
    print(json.dumps({"seconds": seconds, "cpu": time.process_time() - cpu}), flush=True)


main()
