"""What is printed to stderr, caught and shortened."""

import os

import pytest

from workbench.probe.bcc.messages import captured, compiler_errors, verifier_end
from workbench.probe.clib import libc

COMPILER = """In file included from /virtual/main.c:2:
/virtual/include/bcc/helpers.h:12:9: warning: something is odd
   12 | #define X
/virtual/main.c:14:9: error: use of undeclared identifier 'y'
  return y;
         ^
/virtual/main.c:15:1: note: this is a note
1 warning and 1 error generated.
"""


def test_what_c_code_prints(capfd):
    with captured() as messages:
        os.write(2, b"from C\n")
    assert "from C\n" in messages.text
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "afterwards\n"


def test_the_descriptor_comes_back_after_an_error(capfd):
    with pytest.raises(ValueError, match="x"), captured():
        raise ValueError("x")
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "afterwards\n"


def test_errors_and_their_lines():
    assert compiler_errors(COMPILER, 10) == (
        "line 4: error: use of undeclared identifier 'y'\n  return y;\n         ^"
    )
    assert compiler_errors("ld: cannot\n\n") == "ld: cannot"
    assert compiler_errors("a.c:3:1: error: no\n", file="a.c") == "line 3: error: no"


def test_output_as_well(capfd):
    with captured(output=True) as messages:
        os.write(1, b"out\n")
        libc().puts(b"from the C library")
    assert messages.text == "out\nfrom the C library\n"
    assert capfd.readouterr().out == ""


def test_long_output_is_cut():
    assert len(compiler_errors("".join(f"line {i}\n" for i in range(100))).splitlines()) == 12
    assert verifier_end("".join(f"{i}: r0\n" for i in range(100))).splitlines()[-1] == "99: r0"
    assert len(verifier_end("x\n" * 100).splitlines()) == 12


def test_the_end_of_a_verifiers_log():
    log = """; int a = 1; @ main.c:45
1: (07) r1 += 1 ; old // Line  47
R1 invalid mem access 'scalar'
processed 12 insns (limit 1000000)
"""
    assert verifier_end(log, {45: 5, 47: 7}) == (
        "; int a = 1; // line 5\n1: (07) r1 += 1 ; old // line 7\nR1 invalid mem access 'scalar'"
    )
