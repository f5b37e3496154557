"""Ordinary Python for ``busy.py SECONDS``: json, re, sorting, calls, in three threads.

Runs with Python 3.6 and later. Given as text (``-c``): the interpreter may live in another root.
"""

import json
import re
import sys
import threading
import time


class Node:
    """An object whose methods the loop calls."""

    def __init__(self, depth):
        self.children = [Node(depth - 1) for _ in range(2)] if depth else []
        self.value = depth

    def total(self):
        """Sum of all values below, by recursion through a generator."""
        return self.value + sum(child.total() for child in self.children)


def work():
    """Take some 10 ms."""
    words = [str(i * 7919 % 1000) for i in range(2000)]
    words.sort(key=lambda word: word[::-1])
    text = json.dumps({"words": words, "nested": [{"a": i, "b": [i] * 3} for i in range(200)]})
    found = re.findall(r"[0-9]+(?=\")", text)
    return len(json.loads(text)["words"]) + len(found) + Node(7).total()


def loop(until):
    """Work until it is that late."""
    while time.time() < until:
        work()


def main():
    """Work in three threads."""
    until = time.time() + float(sys.argv[1])
    threads = [threading.Thread(target=loop, args=(until,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    loop(until)
    for thread in threads:
        thread.join()


main()
