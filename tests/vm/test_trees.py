"""Header trees for BCC of stock kernels, made here from the BTF in their images."""

import lzma
import struct

import pyarrow as pa
import pytest

from vm import kernels
from workbench.elf import Elf
from workbench.probe.bcc import headers, tree

pytestmark = [pytest.mark.vm, pytest.mark.slow]
# struct setup_header of the boot protocol (Documentation/arch/x86/boot.rst).
SETUP_SECTORS, PAYLOAD = 0x1F1, 0x248


def kernel_of(image: bytes) -> bytes:
    """Return the ELF file in a bzImage."""
    start = 512 * (1 + (image[SETUP_SECTORS] or 4))
    offset, length = struct.unpack_from("<II", image, PAYLOAD)
    payload = image[start + offset : start + offset + length - 4]  # its size follows, in 4 bytes
    if payload.startswith(b"\x28\xb5\x2f\xfd"):
        with pa.CompressedInputStream(pa.BufferReader(payload), "zstd") as stream:
            return stream.read()
    return lzma.decompress(payload)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("series", kernels.SERIES)
def test_every_member_is_where_btf_says(tmp_path, monkeypatch, stock_kernel, series):
    kernel = stock_kernel(series)
    elf = Elf.open(kernel_of(kernel.image.read_bytes()))
    (tmp_path / "btf").write_bytes(elf.section_bytes(".BTF"))
    monkeypatch.setattr(tree.platform, "release", lambda: kernel.release)
    made = headers.made_tree(tmp_path / "trees", tmp_path / "btf")
    assert int((made / headers.MARK).read_text().split()[0]) > 40_000
