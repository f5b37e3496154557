# ruff: noqa: B018, TRY301, PLC3002, UP031, ARG005 - the odd code is what is tested
"""Runs on the interpreter under test: known stacks, told by the interpreter itself.

Each call of `here` tells the frames as ``sys._getframe`` sees them, then makes a system call that
nothing else makes: os.getpgid. Reads the names of scenarios from its input, one a line.
"""

import asyncio
import functools
import json
import os
import sys
import threading
import time

told = []
lock = threading.Lock()


def frames_of(frame):
    found = []
    while frame is not None:
        code = frame.f_code
        found.append((code.co_qualname, code.co_filename, frame.f_lineno))
        frame = frame.f_back
    return found


def here(*_ignored):
    frame = sys._getframe()
    code = frame.f_code
    found = frames_of(frame.f_back)
    found.insert(0, (code.co_qualname, code.co_filename, frame.f_lineno + 2))
    told.append((threading.get_native_id(), found))
    os.getpgid(0)
    return 0


def plain():
    here()


def lines(
    first=None,
):
    value = [
        here(),
        (here(), 1),
    ]
    return [here() for _ in range(2)], {here(): value}, (lambda: here())()


def recursion(depth=40):
    if depth:
        return recursion(depth - 1)
    return here()


def deep():
    recursion(300)


def generator():
    def inner(n):
        for i in range(n):
            yield here() or i

    def outer():
        yield from inner(2)

    list(outer())
    next(inner(1))
    for _ in outer():
        here()


def callbacks():
    sorted([3, 1, 2], key=here)
    functools.reduce(lambda a, b: here() + a + b, [1, 2, 3])
    functools.partial(here, 1)()
    list(map(here, [1]))
    max([1], key=lambda _: sorted([1], key=lambda _: here()))


def exceptions():
    class Guard:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            here()
            return True

    try:
        raise ValueError
    except ValueError:
        here()
    finally:
        here()
    with Guard():
        raise KeyError


def made_code():
    exec(compile("\n\nhere()\ndef f():\n    here()\nf()", "made.py", "exec"), {"here": here})
    eval("here()", {"here": here})
    for number in range(20):  # code objects that come and go, maybe at one address
        text = "\n" * number + "here()\n" + "def g%d():\n return here()\ng%d()" % (number, number)
        exec(compile(text, "made-%d.py" % number, "exec"), {"here": here})


def class_body():
    class Body:
        here()

        class Inner:
            value = here()

        def __init__(self):
            here()

        def __getattr__(self, name):
            return here()

        def __hash__(self):
            return here()

        @property
        def thing(self):
            return here()

    for _ in range(20):  # enough for specialised instructions
        made = Body()
    made.thing
    made.missing
    {made: 1}
    type("Made", (Body,), {"__init_subclass__": classmethod(here)})


def awaiting():
    async def leaf():
        here()
        await asyncio.sleep(0)
        here()

    async def steps():
        for i in range(2):
            yield i
            here()

    async def main():
        await asyncio.gather(leaf(), leaf())
        async for _ in steps():
            here()
        await asyncio.get_running_loop().run_in_executor(None, here)

    asyncio.run(main())


def threads():
    def work(n):
        for _ in range(3):
            with lock:
                (plain, recursion, callbacks)[n]()

    running = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for each in running:
        each.start()
    for each in running:
        each.join()


def names():
    space = {"here": here}
    exec(compile("def größe():\n here()\ngröße()", "bücher.py", "exec"), space)
    exec(compile("def 漢字():\n here()\n漢字()", "漢字-файл.py", "exec"), space)
    exec(compile("def 𝔘():\n here()\n𝔘()", "\N{SNAKE}.py", "exec"), space)
    long = "x" * 2000
    exec(compile("def %s():\n here()\n%s()" % (long, long), "d/" * 700, "exec"), space)
    many = "\n".join("a%d = %d" % (i, i) for i in range(3000))
    exec(compile(many + "\nhere()\n" + many + "\nhere()", "many.py", "exec"), space)


def jumps():
    text = (
        "def f():\n"
        + " x = 1\n" * 3
        + "\n" * 5000
        + " here(\n\n\n)\n for _ in range(2):\n  here()\n"
    )
    space = {"here": here}
    exec(compile(text + "f()", "jumps.py", "exec"), space)


def interpreters():
    try:
        import _interpreters as module
    except ImportError:
        import _xxsubinterpreters as module
    code = "def sub():\n import os\n os.getpgid(0)\nsub()"
    inner = module.create()
    file = "<script>" if sys.version_info >= (3, 14) else "<string>"
    own = [("sub", file, 3), ("<module>", file, 4)]
    run = getattr(module, "exec", None) or module.run_string
    frame = sys._getframe()
    outer = [(frame.f_code.co_qualname, frame.f_code.co_filename, frame.f_lineno + 2)]
    told.append((threading.get_native_id(), own + outer + frames_of(frame.f_back)))
    run(inner, code)
    here()
    module.destroy(inner)


def interpreter_threads():
    """Threads that each run an interpreter of their own, two at a time."""
    try:
        import _interpreters as module
    except ImportError:
        import _xxsubinterpreters as module
    code = "def sub():\n import os\n os.getpgid(0)\nfor _ in range(3): sub()"
    file = "<script>" if sys.version_info >= (3, 14) else "<string>"
    own = [("sub", file, 3), ("<module>", file, 4)]
    run = getattr(module, "exec", None) or module.run_string
    meet = threading.Barrier(2)

    def work():
        inner = module.create()
        meet.wait()
        frame = sys._getframe()
        outer = [(frame.f_code.co_qualname, frame.f_code.co_filename, frame.f_lineno + 3)]
        stack = own + outer + frames_of(frame.f_back)
        told.extend([(threading.get_native_id(), stack)] * 3)
        run(inner, code)
        here()
        module.destroy(inner)

    running = [threading.Thread(target=work) for _ in range(2)]
    for each in running:
        each.start()
    for each in running:
        each.join()


def blocked():
    """Threads that wait; the answer are their frames."""
    event, started = threading.Event(), threading.Barrier(4)

    def sleeper():
        started.wait()
        event.wait()

    def reader():
        started.wait()
        os.read(pipe[0], 1)

    def sorter():
        started.wait()
        sorted([1], key=lambda _: event.wait())

    pipe = os.pipe()
    running = [threading.Thread(target=each) for each in (sleeper, reader, sorter)]
    for each in running:
        each.start()
    started.wait()
    time.sleep(0.2)
    frames = sys._current_frames()
    told.extend((each.native_id, frames_of(frames[each.ident])) for each in running)
    event.set()
    os.write(pipe[1], b".")
    for each in running:
        each.join()


def waiting():
    """Threads that wait, for tools that look from outside; faulthandler answers SIGUSR1."""
    import faulthandler
    import signal

    faulthandler.register(signal.SIGUSR1, all_threads=True)
    event, started = threading.Event(), threading.Barrier(4)

    class Task:
        def run(self):
            started.wait()
            recursion_to(event.wait)

        def generated(self):
            started.wait()
            sum(event.wait() for _ in range(3))

    def recursion_to(function, depth=20):
        return recursion_to(function, depth - 1) if depth else function()

    async def coroutine():
        started.wait()
        functools.reduce(lambda a, b: event.wait(), [1, 2])

    targets = (Task().run, Task().generated, lambda: asyncio.run(coroutine()))
    for target in targets:
        threading.Thread(target=target, daemon=True).start()
    started.wait()
    time.sleep(0.2)
    told.extend((each.native_id, []) for each in threading.enumerate())


def busy(seconds=0.4):
    def fib(n):
        return n if n < 2 else fib(n - 1) + fib(n - 2)

    end = time.process_time() + seconds  # of the CPU: as many samples on a busy machine
    while time.process_time() < end:
        sorted(range(20), key=lambda n: fib(6))


children = []


def fork():
    """A child that waits for `release`."""
    go, answer = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.read(go[0], 1)
        recursion(3)
        os.write(answer[1], json.dumps(told).encode())
        os._exit(0)
    told.append((child, []))
    children.append((child, go[1], answer[0]))


def release():
    child, go, answer = children.pop()
    os.write(go, b".")
    told.extend(json.loads(os.read(answer, 1 << 16)))
    os.waitpid(child, 0)


def tables():
    """Line tables of modules, and what they mean; in place of stacks."""
    import argparse
    import dataclasses
    import typing

    for module in (argparse, dataclasses, typing):
        with open(module.__file__, encoding="utf-8") as file:
            waiting = [compile(file.read(), module.__file__, "exec")]
        while waiting:
            code = waiting.pop()
            waiting += [each for each in code.co_consts if hasattr(each, "co_lines")]
            about = [code.co_linetable.hex(), code.co_firstlineno]
            told.append((0, [(*about, list(code.co_lines()))]))


def main():
    print("ready", flush=True)
    for line in sys.stdin:
        told.clear()
        globals()[line.strip()]()
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
