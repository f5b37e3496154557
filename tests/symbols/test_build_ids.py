import os
import shutil
import subprocess

import pytest
from programs import compiled

from workbench.elf import Elf
from workbench.symbols.build_ids import BuildIds
from workbench.symbols.debug_files import has_lines

SOURCE = "int main(int n, char **a) { return n; }"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A program as it was built, without debug information, and without symbols."""
    folder = tmp_path_factory.mktemp("built")
    whole = compiled(folder, "whole", SOURCE, "gcc", "-g", "-Wl,--build-id")
    for name, flag in (("named", "--strip-debug"), ("bare", "--strip-all")):
        subprocess.run(["strip", flag, "-o", folder / name, whole], check=True)
    with Elf.open(whole) as elf:
        return folder, elf.build_id


def chosen(ids, build_id, module="/none"):
    elf = ids.best(build_id, module)
    if elf is None:
        return None
    with elf:
        return elf.name.rsplit("/", 1)[-1]


def test_the_one_that_tells_most(files, tmp_path):
    folder, build_id = files
    assert chosen(BuildIds([folder]), build_id) == "whole"
    deep = tmp_path / "a/b"
    deep.mkdir(parents=True)
    for name in ("bare", "named"):
        shutil.copy(folder / name, deep)
    assert chosen(BuildIds([tmp_path]), build_id) == "named"
    assert chosen(BuildIds([deep / "bare"]), build_id) == "bare"
    assert chosen(BuildIds(), build_id, str(folder / "bare")) == "bare"
    assert chosen(BuildIds([], lambda _: folder / "whole"), build_id, "/none") == "whole"


def test_others_do_not_count(files, tmp_path):
    folder, build_id = files
    other = compiled(tmp_path, "other", SOURCE, "gcc", "-Wl,--build-id=0x11223344")
    (tmp_path / "text").write_text("ELF")
    (tmp_path / "broken").write_bytes((folder / "whole").read_bytes()[:200])
    os.mkfifo(tmp_path / "pipe")
    ids = BuildIds([tmp_path], lambda _: other)
    assert ids.best(build_id, str(other)) is None
    elf = ids.best("11223344", "/none")
    assert elf is not None
    assert not has_lines(elf)
    elf.close()
