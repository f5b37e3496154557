"""The header tree: what bpftool writes, mended; macros; what the kernel's configuration says."""

import re
import subprocess

import pytest

from workbench.errors import UnsupportedKernelError
from workbench.probe import btf as b
from workbench.probe.bcc import tree
from workbench.probe.btf import Btf


def test_sizes_of_enums_and_padding():
    types = """enum small {
\tONE = 1,
};

enum large {
\tTWO = 2,
};

struct s {
\tint a;
\tlong: 64;
\tint: 32;
\tlong: 40;
\tint b: 3;
\tstruct {
\t\tchar: 8;
\t};
};
"""
    small = b.Type(b.ENUM, "small", size=1)
    large = b.Type(b.ENUM, "large", size=4)
    made = tree.mended(types, Btf((small, large), {}))
    assert "\tONE = 1,\n} __attribute__((mode(byte)));" in made
    assert "\tTWO = 2,\n};" in made
    assert "\tlong wb_pad_1;\n\tint wb_pad_2;\n\tlong: 40;\n\tint b: 3;" in made
    assert "\t\tchar wb_pad_3;" in made


def test_structs_can_be_left_out():
    made = tree.guarded("struct a {\n\tint x;\n};\n\nunion u {\n\tint y;\n} __attribute__((p));\n")
    assert "#ifndef WB_OMIT_a\nstruct a {\n\tint x;\n};\n#endif\n" in made
    assert "#ifndef WB_OMIT_u\nunion u {" in made


def test_configurations(monkeypatch):
    text = 'CONFIG_A=y\nCONFIG_B=m\nCONFIG_HZ=250\nCONFIG_S="x"\n# CONFIG_C is not set\n'
    monkeypatch.setattr(tree, "config_text", lambda _: text)
    assert tree.config("1.2.3").splitlines() == [
        "#define CONFIG_A 1",
        "#define CONFIG_B_MODULE 1",
        "#define CONFIG_HZ 250",
        '#define CONFIG_S "x"',
    ]
    monkeypatch.setattr(tree, "config_text", lambda _: "")
    assert "#define CONFIG_BPF_SYSCALL 1" in tree.config("1.2.3")


def test_enumerators_are_no_macros():
    made = tree.kernel_macros({"AF_INET", "READ"}, "struct dentry { d_shortname }")
    assert "define AF_INET " not in made
    assert "#define AF_INET6 10" in made
    assert "define READ " not in made
    assert "d_shortname" in made
    assert "d_iname" in tree.kernel_macros(set(), "")


def test_macros_of_the_user_abi(tmp_path):
    """They have the values that the C library's headers give them."""
    made = tree.uapi({"BPF_FUNC_map_lookup_elem"})
    defined = dict(re.findall(r"^#define (\w+) +(.+)$", made, re.MULTILINE))
    assert len(defined) > 3000
    assert "BPF_FUNC_map_lookup_elem" not in defined
    assert defined["BPF_FUNC_ringbuf_output"] == "130"
    names = ["O_CREAT", "ETH_P_IP", "CLONE_NEWNS", "PERF_MAX_STACK_DEPTH", "EPOLLIN", "BPF_ANY"]
    present = [name for name in names if name in defined]
    assert len(present) >= 4
    program = "#include <fcntl.h>\n#include <linux/if_ether.h>\n#include <linux/sched.h>\n"
    program += "#include <linux/perf_event.h>\n#include <stdio.h>\nint main(void) {\n"
    known = [n for n in present if n not in ("EPOLLIN", "BPF_ANY")]
    program += "".join(f'printf("%ld\\n", (long){name});' for name in known) + "}\n"
    (tmp_path / "values.c").write_text(program)
    subprocess.run(["cc", "-o", tmp_path / "v", tmp_path / "values.c"], check=True)
    ours = program.replace("#include <fcntl.h>\n", "").split("int main")
    ours = "#include <stdio.h>\n" + made + "int main" + ours[1]
    (tmp_path / "ours.c").write_text(ours)
    subprocess.run(["cc", "-w", "-o", tmp_path / "o", tmp_path / "ours.c"], check=True)
    outputs = [subprocess.check_output([tmp_path / name]) for name in ("v", "o")]
    assert outputs[0] == outputs[1]


def test_tools_that_are_missing_or_fail():
    with pytest.raises(UnsupportedKernelError, match="nosuchtool") as caught:
        tree.run(["nosuchtool"], "that-package")
    assert caught.value.advice == "Install it: apt-get install that-package."
    with pytest.raises(UnsupportedKernelError) as caught:
        tree.run(["clang", "--nosuchoption"], "clang")
    assert "nosuchoption" in caught.value.why
