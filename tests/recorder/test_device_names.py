"""Numbers of devices become names, once each."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.recorder.device_names import DeviceNames, dictionary


@given(st.lists(st.integers(0, 5)), st.lists(st.sampled_from("abc"), min_size=6, max_size=6))
def test_a_dictionary_says_what_the_list_says(numbers, texts):
    array = np.array(numbers, np.uint32)
    made = dictionary(array, texts.__getitem__)
    made.validate(full=True)
    assert made.to_pylist() == [texts[number] for number in numbers]
    assert len(set(made.dictionary.to_pylist())) == len(made.dictionary)


@pytest.fixture
def sysfs(tmp_path):
    (tmp_path / "devices" / "vda").mkdir(parents=True)
    (tmp_path / "254:0").symlink_to("devices/vda")
    return tmp_path


def test_devices_have_the_names_of_sysfs(sysfs):
    names = DeviceNames(sysfs)
    numbers = np.array([254 << 20, 7 << 20 | 3, 254 << 20], np.uint32)
    assert names.encode(numbers).to_pylist() == ["vda", "7:3", "vda"]
    (sysfs / "254:0").unlink()  # it is gone: its name is known still
    assert names.encode(numbers[:1]).to_pylist() == ["vda"]
    assert names.encode(numbers[:0]).to_pylist() == []
