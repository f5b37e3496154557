"""Small programs, one for each way that code comes by an odd frame."""

import shutil
import subprocess

import pytest

ALIGNED = """
void use(void *);
/* The compiler realigns the stack and, with a variable array, needs DRAP. */
int realigned(int n, int a, int b, int c, int d, int e, int f) {
    char more[n]; double wide[8] __attribute__((aligned(64)));
    use(more); use(wide); return more[0] + f;
}
"""
ALLOCA = """
void use(void *);
int grows(int n) { char *p = __builtin_alloca(n); use(p); return p[0]; }
"""
AVX = """
typedef double four __attribute__((vector_size(32)));
void use(void *);
double vectors(four *x) { four y = *x * 2; use(&y); return y[0] + y[3]; }
"""
COLD = """
void use(void *), rare(void *) __attribute__((cold)), gone(void) __attribute__((cold, noreturn));
int split(int n) { use(&n); if (n < 0) { rare(&n); gone(); } use(&n); return n; }
"""
ASM = """
int before(int x) { return x + 1; }
asm(".p2align 4\\n.globl bare\\n.type bare,@function\\n"
    "bare: mov %rdi,%rax\\n nop\\n nop\\n ret\\n.size bare,.-bare\\n.p2align 4");
int after(int x) { return x + 2; }
"""
PLT = "int far(int); int call(int x) { return far(x) + 1; } int g(int x) { return far(x) - 1; }"
SIGNAL = r"""
asm(".p2align 4\n nop\n.globl restorer\n.type restorer,@function\n"
    ".cfi_startproc\n.cfi_signal_frame\n"
    ".cfi_escape 0x0f,4,0x77,0xa0,1,6\n"         /* CFA: *(rsp + 160) */
    ".cfi_escape 0x10,6,3,0x77,0xf8,0\n"         /* rbp: at rsp + 120 */
    ".cfi_escape 0x10,16,3,0x77,0xa8,1\n"        /* return address: at rsp + 168 */
    "restorer: mov $15,%rax\n syscall\n.cfi_endproc\n.size restorer,.-restorer");
"""
ROOT = r"""
asm(".globl root\n.type root,@function\nroot: .cfi_startproc\n.cfi_undefined rip\n"
    "xor %ebp,%ebp\n call never\n hlt\n.cfi_endproc\n.size root,.-root");
"""
DEEP = "void use(void *); int deep(void) { char a[600000]; use(a); return a[1]; }"
FRAMES = "void use(void *); int framed(int n) { use(&n); return n + 1; }"


def build(path, source, *options):
    """Compile a shared library without start-up files; skip without a compiler."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    plain = ["-shared", "-fPIC", "-nostdlib", "-w", "-fcf-protection=none", "-fno-stack-protector"]
    command = ["gcc", *plain, "-O2", "-fomit-frame-pointer", "-Wl,-z,lazy", *options]
    subprocess.run([*command, "-x", "c", "-", "-o", path], input=source, text=True, check=True)
    return path


def programs():
    """Name and source of all of them."""
    return {name: each for name, each in globals().items() if name.isupper()}


def symbols(path):
    """Address and size of each function, by name."""
    out = subprocess.run(["nm", "-S", path], check=True, capture_output=True, text=True).stdout
    rows = (line.split() for line in out.splitlines())
    return {row[3]: (int(row[0], 16), int(row[1], 16)) for row in rows if len(row) == 4}


def instructions(path, *options):
    """Address and text of each instruction, as objdump reads them."""
    command = ["objdump", "-d", "--no-show-raw-insn", *options, path]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = (line.split(":", 1) for line in out.splitlines() if line.startswith(" "))
    return [(int(address, 16), " ".join(text.split())) for address, text in rows]


def function(path, name):
    """Instructions of a function."""
    start, size = symbols(path)[name]
    return instructions(path, f"--start-address={start}", f"--stop-address={start + size}")
