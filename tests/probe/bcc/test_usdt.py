"""USDT probes: those of the C library, which Debian builds with them."""

import os
import subprocess

import pytest

from workbench.errors import AttachError
from workbench.probe.bcc import finder
from workbench.probe.bcc.attach import resolved
from workbench.probe.bcc.usdt import Usdt

pytestmark = pytest.mark.skipif(
    finder.distribution_folder() is None, reason="python3-bpfcc is not installed"
)


@pytest.fixture(scope="module")
def libc():
    path = resolved("c", "malloc")[0].decode()
    notes = subprocess.run(["readelf", "-n", path], capture_output=True, text=True, check=True)
    if "pthread_create" not in notes.stdout:
        pytest.skip("this C library has no USDT probes")
    return path


@pytest.mark.parametrize("probe", ["pthread_create", "libc:pthread_create"])
def test_a_probe_is_found(libc, probe):
    usdt = Usdt(libc)
    usdt.enable(probe, "on_create")
    places = usdt.places()
    assert {place.function for place in places} == {"on_create"}
    assert all(place.path.decode() == libc and place.address for place in places)
    usdt.close()
    usdt.close()


def test_a_probe_of_this_process(libc):
    usdt = Usdt(libc, os.getpid())
    usdt.enable("pthread_create", "on_create")
    assert {place.pid for place in usdt.places()} == {os.getpid()}
    usdt.close()


def test_what_is_not_there(libc, tmp_path):
    usdt = Usdt(libc)
    with pytest.raises(AttachError, match="no USDT probe nothing") as caught:
        usdt.enable("libc:nothing", "f")
    assert "readelf -n" in caught.value.advice
    usdt.close()
    with pytest.raises(AttachError, match="There is no file"):
        Usdt(str(tmp_path / "none"))
    with pytest.raises(AttachError, match="no USDT probes"):
        Usdt("", 1 << 22)
