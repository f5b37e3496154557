"""Hand-made unwind information, and ELF files around it."""

import struct

CODE, CODE_SIZE = 0x1000, 0x1000
FRAMES = 0x2000  # file offset and address of .eh_frame
BASE = 0x400000
PT_LOAD, PT_GNU_EH_FRAME = 1, 0x6474E550
EM_X86_64 = 62
DEFAULT = b"\x0c\x07\x08\x90\x01"  # def_cfa rsp 8; offset of the return address: CFA - 8


def uleb(value):
    out = bytearray()
    while True:
        byte, value = value & 0x7F, value >> 7
        out.append(byte | 0x80 * (value > 0))
        if not value:
            return bytes(out)


def record(body, *, wide=False):
    head = struct.pack("<IQ", 0xFFFFFFFF, len(body)) if wide else struct.pack("<I", len(body))
    return head + body


def cie(code=DEFAULT, augmentation=b"zR", data=b"\x1b", *, eh=True, version=1, wide=False):
    """A CIE; `data`: what belongs to the augmentation."""
    mark = bytes(4) if eh else b"\xff" * (8 if wide else 4)
    sizes = b"\x08\x00" if version == 4 else b""
    extra = uleb(len(data)) + data if augmentation[:1] == b"z" else b""
    body = mark + bytes([version]) + augmentation + b"\0" + sizes + b"\x01\x78\x10" + extra + code
    return record(body, wide=wide)


class Section:
    """Records one after another; FDEs belong to the last CIE."""

    def __init__(self, address=BASE + FRAMES, *, eh=True):
        self.data, self.address, self.eh = b"", address, eh

    def cie(self, *arguments, **named):
        self.last, self.wide = len(self.data), named.get("wide", False)
        self.data += cie(*arguments, eh=self.eh, **named)
        return self

    def fde(self, start, size, code=b"", layout="<iI", *, relative=True, augmented=True):
        wide = self.wide
        at = len(self.data) + (12 if wide else 4)
        if self.eh:
            head = struct.pack("<I", at - self.last)
        else:
            head = struct.pack("<Q" if wide else "<I", self.last)
        place = start - (self.address + at + len(head)) if relative else start
        body = head + struct.pack(layout, place, size) + b"\0" * augmented + code
        self.data += record(body, wide=wide)
        return self


def simple(*functions):
    """.eh_frame of functions (start, size, instructions)."""
    section = Section().cie()
    for start, size, code in functions:
        section.fde(start, size, code)
    return section.data + bytes(4)


def elf(frames=b"", *, named=(), header=b"", machine=EM_X86_64, code_offset=CODE):
    """An executable: code at BASE + CODE, `frames` at BASE + FRAMES.

    Parameters
    ----------
    named : sequence of (str, int, bytes)
        Sections by name with flags and content; (".eh_frame", 2, None) is `frames`.
    header : bytes
        Of .eh_frame_hdr, behind the frames.
    code_offset : int
        Where the code is in the file, as far as its program header says.
    """
    image = bytearray(FRAMES) + frames
    header_at = len(image)
    image += header
    segments = [
        (PT_LOAD, 5, code_offset, BASE + CODE, CODE_SIZE),
        (PT_LOAD, 4, FRAMES, BASE + FRAMES, len(image) - FRAMES),
    ]
    if header:
        segments.append((PT_GNU_EH_FRAME, 4, header_at, BASE + header_at, len(header)))
    names, sections = b"\0", [(0,) * 10]
    for name, flags, content in named:
        at, size = (FRAMES, len(frames)) if content is None else (len(image), len(content))
        image += content or b""
        address = BASE + at if flags & 2 else 0
        sections.append((len(names), 1, flags, address, at, size, 0, 0, 8, 0))
        names += name.encode() + b"\0"
    at = len(image)
    image += names + b".names\0"
    sections.append((len(names), 3, 0, 0, at, len(names) + 7, 0, 0, 1, 0))
    table = len(image) if named else 0
    image += b"".join(struct.pack("<IIQQQQIIQQ", *each) for each in sections)
    for index, (kind, flags, offset, address, size) in enumerate(segments):
        entry = struct.pack("<IIQQQQQQ", kind, flags, offset, address, address, size, size, 4096)
        image[64 + 56 * index : 64 + 56 * (index + 1)] = entry
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    count = len(sections) if named else 0
    fields = (2, machine, 1, BASE + CODE, 64, table, 0, 64, 56, len(segments), 64, count)
    image[:64] = ident + struct.pack("<HHIQQQIHHHHHH", *fields, max(count - 1, 0))
    return bytes(image)


EH_FRAME = (".eh_frame", 2, None)
