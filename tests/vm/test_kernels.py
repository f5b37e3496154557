"""Which kernel is taken, and how it is unpacked."""

import subprocess

import pytest

from vm import kernels
from vm.kernels import NoKernelError, newest

LISTED = """linux-image-6.1.0-9-amd64
linux-image-6.1.0-50-amd64
linux-image-6.1.0-50-cloud-amd64
linux-image-6.1.0-56-rt-amd64
linux-image-6.1.0-47-amd64
linux-image-6.1.0-60-amd64-unsigned
linux-image-6.12.9+deb12-amd64
linux-image-6.12.100+deb12-amd64
linux-image-6.12-amd64
linux-image-amd64
"""


@pytest.mark.parametrize(
    ("series", "release"), [("6.1", "6.1.0-50-amd64"), ("6.12", "6.12.100+deb12-amd64")]
)
def test_the_newest_by_number_not_by_text(series, release):
    assert newest(series, LISTED) == release


def test_no_kernel_of_the_series():
    with pytest.raises(NoKernelError, match=r"no kernel 5\.10"):
        newest("5.10", LISTED)


def test_what_cannot_be_unpacked_leaves_nothing(tmp_path, monkeypatch):
    def run(*words, where=None):
        if words[0] == "apt-cache":
            return LISTED
        if words[0] == "apt-get":
            (where / f"{words[-1]}_1_amd64.deb").write_bytes(b"no package")
            return ""
        raise NoKernelError("dpkg-deb: it is no package")

    monkeypatch.setattr(kernels, "_run", run)
    with pytest.raises(NoKernelError, match="no package"):
        kernels.fetch("6.1", into=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_fails_says_why():
    with pytest.raises(NoKernelError, match=r"ls --no-such-option.*unrecognized"):
        kernels._run("ls", "--no-such-option")
    with pytest.raises(NoKernelError, match="no-such-command"):
        kernels._run("no-such-command")


def test_where_its_parts_are(tmp_path):
    kernel = kernels.Kernel("6.1.0-50-amd64", tmp_path)
    assert kernel.sources == []
    for name in ("linux-headers-6.1.0-50-common", "linux-kbuild-6.1", "other"):
        (tmp_path / "usr" / "src" / name).mkdir(parents=True)
    assert [path.name[:12] for path in kernel.sources] == ["linux-header", "linux-kbuild"]
    assert kernel.image == tmp_path / "boot" / "vmlinuz-6.1.0-50-amd64"
    assert subprocess.run(["test", "-e", kernel.modules], check=False).returncode
