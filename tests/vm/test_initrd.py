"""The initial file system: as cpio reads it, modules behind what they need."""

import lzma
import shutil
import subprocess

import pytest

from vm import initrd
from vm.kernels import Kernel, NoKernelError


@pytest.mark.skipif(shutil.which("cpio") is None, reason="cpio is not installed")
def test_the_archive_is_what_cpio_expects(tmp_path):
    entries = [("a", 0o40755, b""), ("a/long name", 0o100640, b"x" * 1001), ("b", 0o100755, b"")]
    subprocess.run(
        ["cpio", "-i", "--quiet"], input=initrd.archive(entries), cwd=tmp_path, check=True
    )
    assert (tmp_path / "a" / "long name").read_bytes() == b"x" * 1001
    assert (tmp_path / "a" / "long name").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o755


def test_entries_begin_at_multiples_of_four():
    made = initrd.archive([("abc", 0o100644, b"12345"), ("d", 0o100644, b"")])
    assert len(made) % 4 == 0
    starts = [at for at in range(len(made)) if made.startswith(b"070701", at)]
    assert len(starts) == 3
    assert all(at % 4 == 0 for at in starts)
    assert made[starts[0] + 54 : starts[0] + 62] == b"00000005"


@pytest.fixture
def kernel(tmp_path):
    made = Kernel("9.9-test", tmp_path)
    folder = made.modules / "kernel" / "drivers"
    folder.mkdir(parents=True)
    needs = {"9p": "9pnet,netfs", "9pnet": "", "netfs": "", "9pnet_virtio": "9pnet,virtio-ring"}
    needs |= {"veth": "", "sch_netem": ""}
    for name, needed in needs.items():
        text = b"\0license=GPL\0depends=" + needed.encode() + b"\0"
        (folder / f"{name}.ko.xz").write_bytes(lzma.compress(text))
    (folder / "overlay.ko").write_bytes(b"\0depends=\0")
    built_in = "kernel/drivers/virtio/virtio_pci.ko\nkernel/drivers/virtio/virtio_ring.ko\n"
    (made.modules / "modules.builtin").write_text(built_in)
    return made


def test_modules_come_behind_those_they_need(kernel):
    found = initrd._modules(kernel)
    needed = ["9pnet.ko", "9pnet_virtio.ko", "netfs.ko", "9p.ko", "overlay.ko"]
    assert list(found) == [*needed, "veth.ko", "sch_netem.ko"]
    assert found["9p.ko"].endswith(b"depends=9pnet,netfs\0")


def test_a_kernel_without_them(kernel):
    (kernel.modules / "kernel" / "drivers" / "netfs.ko.xz").unlink()
    with pytest.raises(NoKernelError, match="no module netfs"):
        initrd._modules(kernel)
