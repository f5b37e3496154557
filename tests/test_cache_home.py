from pathlib import Path

import pytest

from workbench.cache_home import cache_home


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"XDG_CACHE_HOME": "/var/cache/me"}, Path("/var/cache/me")),
        ({"XDG_CACHE_HOME": "cache"}, Path("~/.cache").expanduser()),
        ({"XDG_CACHE_HOME": ""}, Path("~/.cache").expanduser()),
        ({}, Path("~/.cache").expanduser()),
    ],
)
def test_only_absolute_folders_count(given, found):
    assert cache_home(given) == found
