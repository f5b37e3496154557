"""``python -m tests.vm [--kernel SERIES] [-- COMMAND]``: run the guest's tests, or a command."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from vm import kernels, machine

GUEST = Path(__file__).parent / "guest"
TIMEOUT_S = 600.0


def tests(*options: str) -> str:
    """Return the command that runs the guest's tests."""
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-rA", *options]
    settings = "WORKBENCH_VM_GUEST=1 WORKBENCH_REQUIRE_KERNEL=1 PYTHONDONTWRITEBYTECODE=1"
    return f"cd {shlex.quote(str(kernels.ROOT))} && {settings} {shlex.join(words)} {GUEST}"


def main(arguments: list[str] | None = None) -> int:
    """Run on each kernel; return how many failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.vm", description=__doc__)
    parser.add_argument("--kernel", action="append", metavar="SERIES", help="such as 6.1")
    parser.add_argument("--headers", action="store_true", help="with the kernel's headers")
    parser.add_argument("--timeout", type=float, default=TIMEOUT_S, help="seconds for each")
    parser.add_argument("command", nargs="*", help="instead of the tests")
    given = parser.parse_args(arguments)
    command = shlex.join(given.command) if given.command else tests()
    failed = 0
    for series in given.kernel or kernels.SERIES:
        try:
            kernel = kernels.fetch(series, headers=given.headers or not given.command)
            outcome = machine.run(kernel, command, timeout=given.timeout)
        except kernels.NoKernelError as error:
            print(f"Linux {series}: {error}", file=sys.stderr)
            failed += 1
            continue
        print(outcome.output, end="")
        if outcome.code is None:
            print(outcome.console[-3000:], file=sys.stderr)
        failed += outcome.code != 0
        print(f"Linux {kernel.release}: exit code {outcome.code}, {outcome.seconds:.1f} s")
    return failed


if __name__ == "__main__":
    sys.exit(main())
