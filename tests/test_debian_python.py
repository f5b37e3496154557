"""tools/debian-python.sh: what it leaves runs, and what cannot be had is said and harms nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from pystacks_interpreters import fetched

from workbench.pystacks import PythonStatus, find_interpreter

ROOT = Path(__file__).parent.parent
KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
APT = pytest.mark.skipif(
    shutil.which("apt-get") is None or not KEYS.exists(), reason="this is not Debian"
)
WAIT = "print(1, flush=True); input()"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A checkout with nothing but the script."""
    (tmp_path / "tools").mkdir()
    return Path(shutil.copy(ROOT / "tools/debian-python.sh", tmp_path / "tools"))


def run(script: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(script), "3.14"],
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def left(script: Path) -> list[str]:
    return sorted(path.name for path in (script.parent.parent / "build").iterdir())


@APT
def test_a_mirror_that_debian_has_not_signed_is_refused(copy, tmp_path):
    mirror = tmp_path / "mirror"
    (mirror / "dists/forky").mkdir(parents=True)
    (mirror / "dists/forky/Release").write_text("Origin: Debian\nSuite: testing\n")
    tmp_path.chmod(0o755)
    first = run(copy, MIRROR=f"file:{mirror}")
    assert first.returncode == 1
    assert "No Python 3.14" in first.stderr
    assert "is not signed" in first.stderr
    assert left(copy) == ["python3.14.failed"]
    again = run(copy, MIRROR="file:/nowhere")
    assert (again.returncode, again.stdout, again.stderr) == (1, "", first.stderr)


@APT
def test_a_mirror_that_is_not_there(copy):
    found = run(copy, MIRROR="http://127.0.0.1:9")
    assert found.returncode == 1
    assert "apt-get update fails" in found.stderr
    assert left(copy) == ["python3.14.failed"]


def test_a_system_without_apt(copy, tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "dirname", "mkdir", "find", "tee", "cat"):
        (tools / name).symlink_to(shutil.which(name))
    found = run(copy, PATH=str(tools))
    assert (found.returncode, found.stderr) == (1, "No Python 3.14: there is no apt-get here.\n")


def test_what_is_there_is_not_fetched_again(copy):
    program = copy.parent.parent / "build/python3.14/bin/python3.14"
    program.parent.mkdir(parents=True)
    program.symlink_to("/bin/true")
    found = run(copy, MIRROR="file:/nowhere")
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
    assert left(copy) == ["python3.14"]


@pytest.mark.skipif(not fetched(), reason="no Python was fetched; tools/debian-python.sh 3.14")
def test_by_its_own_loader():
    """The executable of such a process is the loader, and Python one of its mappings."""
    command = fetched()[0]
    with subprocess.Popen(
        [*command, "-c", WAIT], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.read(1) == b"1"
        assert Path(f"/proc/{process.pid}/exe").readlink().name.startswith("ld-linux")
        found = find_interpreter(process.pid)
        process.communicate(b"\n")
    assert f"/{Path(command[0]).name}" in found.path
    assert found.status in (PythonStatus.OK, PythonStatus.VERSION)
