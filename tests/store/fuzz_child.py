"""Opens damaged sessions one after the other; run by test_fuzz.py in a process of its own.

``fuzz_child.py BASES FIRST LAST STEP WORK``: for every seed one mutated session is written below
WORK, opened and read completely. One line per seed goes to stdout: the seed, and
``same`` (all data as written), ``prefix`` (fewer rows, as written), ``other`` (what a hostile
author may write), ``refused`` (a WorkbenchError), or ``BAD`` with the reason. A seed without a
line is one that killed the process.
"""

from __future__ import annotations

import json
import os

os.environ |= {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1", "ARROW_IO_THREADS": "1"}

import random
import resource
import shutil
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa

from workbench.errors import WorkbenchError
from workbench.recording import Recording
from workbench.store.zipped import members

MEMORY = 1 << 30
"""Address space that reading may take, on top of what the libraries reserved."""

HUGE = [-1, 0, 1, 255, 65535, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, (1 << 63) - 1, (1 << 64) - 1]
JUNK: list[Any] = [
    None, True, -1, 1.5, 1e308, 1 << 70, "", "x" * 70_000, "\ud800", [], {}, [[]] * 5,
    {"a": {"b": {}}}, "../../etc/passwd", "recording", "complete", "recovered", 2,
]  # fmt: skip


def flip(data: bytearray, rng: random.Random, low: int = 0, high: int | None = None) -> None:
    """Change one to eight bytes, or overwrite a field with a hostile number."""
    high = len(data) if high is None else high
    if rng.random() < 0.3:
        width = rng.choice([1, 2, 4, 8])
        value = rng.choice(HUGE) & ((1 << 8 * width) - 1)
        at = rng.randrange(low, max(high - width, low + 1))
        data[at : at + width] = value.to_bytes(width, "little")
        return
    for _ in range(rng.choice([1, 1, 1, 2, 8])):
        data[rng.randrange(low, high)] ^= 1 << rng.randrange(8)


def truncate(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def cut_out(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    del data[at : at + rng.choice([1, 8, 64, 1000])]


def insert(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    data[at:at] = rng.randbytes(rng.choice([1, 8, 64, 1000]))


def zero(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    length = min(rng.choice([8, 512, 4096]), len(data) - at)
    data[at : at + length] = bytes(length)


ANY = (flip, flip, truncate, cut_out, insert, zero)


def hostile_manifest(content: bytes, rng: random.Random) -> bytes:
    """Replace, remove or add a value somewhere in the JSON tree."""
    document = json.loads(content)
    node: Any = document
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = rng.choice(keys)
        if isinstance(node[key], dict | list) and node[key] and rng.random() < 0.7:
            node = node[key]
            continue
        break
    action = rng.random()
    if action < 0.6:
        node[key] = rng.choice(JUNK)
    elif action < 0.8:
        del node[key]
    elif isinstance(node, dict):
        node[rng.choice(["", "a/b", "__class__", "rows", "frames", "x" * 1000])] = rng.choice(JUNK)
    text = json.dumps(document)
    if rng.random() < 0.1:
        text = rng.choice(["[" * 100_000, "{}", "null", text[:-5], text.replace(":", ": NaN", 1)])
    return text.encode()


def footer(content: bytearray, rng: random.Random) -> None:
    """Damage the footer of a Parquet file, or the header of one of its pages."""
    length = struct.unpack_from("<I", content, len(content) - 8)[0]
    if rng.random() < 0.6:
        flip(content, rng, len(content) - 8 - length, len(content))
    else:
        flip(content, rng, 4, min(len(content), 400))


def zip_with(base: bytes, change: dict[str, bytes]) -> bytearray:
    """Return a zip with other contents of members, and CRCs and offsets that are right."""
    parts, directory = bytearray(), bytearray()
    found = members(memoryview(base))
    for name, member in found.items():
        body = change.get(name, base[member.start : member.start + member.size])
        numbers = (zlib.crc32(body), len(body), len(body), len(name), 0)
        at = len(parts)
        head = (20, 0, 0, 0, 33)
        parts += struct.pack("<4s5H3I2H", b"PK\3\4", *head, *numbers) + name.encode() + body
        rest = (0, 0, 0, 0, at)
        directory += struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, *head, *numbers, *rest)
        directory += name.encode()
    count = len(found)
    end = struct.pack("<4s4HIIH", b"PK\5\6", 0, 0, count, count, len(directory), len(parts), 0)
    return parts + directory + end


def mutate_zip(base: bytes, rng: random.Random) -> tuple[bytearray, bool]:
    """Return a damaged saved session, and whether its author was hostile (CRCs are right)."""
    found = members(memoryview(base))
    tables = [name for name in found if name.endswith(".parquet")]
    style = rng.random()
    if style < 0.35:
        data = bytearray(base)
        rng.choice(ANY)(data, rng)
        return data, False
    if style < 0.5:  # the directory and the end record
        data = bytearray(base)
        last = max(member.start + member.size for member in found.values())
        flip(data, rng, last, len(data))
        return data, False
    bodies = {n: base[m.start : m.start + m.size] for n, m in found.items()}
    if style < 0.65:
        return zip_with(base, {
            "manifest.json": hostile_manifest(bodies["manifest.json"], rng)
        }), True  # fmt: skip
    if style < 0.75:  # swapped members
        one, two = rng.sample(tables, 2)
        return zip_with(base, {one: bodies[two], two: bodies[one]}), True
    name = rng.choice(tables)
    body = bytearray(bodies[name])
    (footer if style < 0.95 else rng.choice(ANY))(body, rng)
    return zip_with(base, {name: bytes(body)}), True


def mutate_directory(path: Path, rng: random.Random) -> str:
    """Damage one file of a session directory; return how strict the answer must be."""
    files = sorted(p for p in path.iterdir() if p.suffix in (".json", ".parquet", ".arrows"))
    file = rng.choice([*files, files[0] if files[0].suffix == ".json" else files[-1]])
    if file.name == "manifest.json" and rng.random() < 0.7:
        file.write_bytes(hostile_manifest(file.read_bytes(), rng))
        return "hostile"
    style = rng.random()
    data = bytearray(file.read_bytes())
    if style < 0.05:
        file.unlink()
        return "hostile"
    if style < 0.15:
        other = rng.choice([p for p in files if p.suffix == file.suffix and p != file] or [file])
        file.write_bytes(other.read_bytes())
        return "hostile"
    if style < 0.4 and file.suffix == ".arrows":
        truncate(data, rng)
        file.write_bytes(data)
        return "prefix"
    rng.choice(ANY)(data, rng)
    file.write_bytes(data)
    # A stream has no checksums: damage inside of a batch's values cannot be seen.
    return {".arrows": "hostile", ".json": "hostile"}.get(file.suffix, "strict")


def read_all(path: Path, rng: random.Random, verify: bool | None = None) -> dict[str, pa.Table]:
    """Read a session in every way; return its tables."""
    with Recording.open(path, verify=verify) as rec:
        repr(rec), rec._repr_html_(), rec.losses, rec.overhead, rec.duration
        result = {}
        for name, table in rec.tables.items():
            result[name] = table.arrow()
            assert result[name].num_rows == table.num_rows
            if rng.random() < 0.3:
                table.polars()
        if rng.random() < 0.3 and "syscalls" in rec.tables:
            rec.sql("select name, comm, count(*), max(latency) from syscalls group by name, comm")
            rec.where(comm="cat").window(1.0, 5.0)["syscalls"].polars()
        return result


def verdict(found: dict[str, pa.Table], truth: dict[str, pa.Table], strict: str) -> str:
    if found.keys() == truth.keys() and all(found[n].equals(truth[n]) for n in truth):
        return "same"
    if strict == "hostile":
        return "other"
    if strict == "prefix":
        for name, table in found.items():
            # Without their rows, processes give other names, and replaced frames come back.
            if name in ("syscalls", "cpu"):
                raw = [c for c in table.schema.names if c != "comm"]
                expected = truth[name].select(raw).slice(0, table.num_rows)
                if not table.select(raw).equals(expected):
                    return "BAD rows differ"
        return "prefix"
    return "BAD data differs"


def one(bases: Path, work: Path, seed: int, truths: dict[str, dict[str, pa.Table]]) -> str:
    rng = random.Random(seed)
    style = rng.choice(["saved.wb", "saved.wb", "unchecked.wb", "finished", "streams"])
    path = work / f"s{seed}"
    strict = "strict"
    if (bases / style).is_dir():
        shutil.copytree(bases / style, path)
        strict = mutate_directory(path, rng)
    else:
        data, hostile = mutate_zip((bases / style).read_bytes(), rng)
        path.write_bytes(data)
        strict = "hostile" if hostile else strict
    verify = rng.choice([None, None, True, False])
    if verify is False:  # who does not look for damage may not see it
        strict = "hostile"
    try:
        return verdict(read_all(path, rng, verify), truths[style], strict)
    except WorkbenchError as error:
        return "refused" if str(error) else "BAD empty message"
    except BaseException as error:
        return f"BAD {style} {strict} {type(error).__name__}: {str(error)[:200]!r}"
    finally:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def main() -> None:
    bases, work = Path(sys.argv[1]), Path(sys.argv[5])
    truths = {p.name: read_all(p, random.Random(0)) for p in sorted(bases.iterdir())}
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    for seed in range(*map(int, sys.argv[2:5])):
        print(seed, end=" ", flush=True)
        print(one(bases, work, seed, truths).replace("\n", " "), flush=True)


if __name__ == "__main__":
    main()
