"""The colours of kinds can be told apart, also with colour blindness, and carry their text."""

from __future__ import annotations

import colorsys
import itertools
import re

import numpy as np
import pytest

from workbench.frames.flame import KINDS
from workbench.views.html import STATIC

# Severity 1.0, from Machado, Oliveira and Fernandes, A Physiologically-based Model for
# Simulation of Color Vision Deficiency, 2009.
SIGHT = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                   [0.004733, 0.691367, 0.303900]],
}  # fmt: skip
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.9505, 1.0, 1.089])


def colours() -> dict[str, np.ndarray]:
    """Linear RGB of every kind, as the script has it."""
    source = (STATIC / "flame_paint.js").read_text()
    found = re.findall(r"^  (\w+): \[(\d+), (\d+), (\d+)\],$", source, re.MULTILINE)
    result = {}
    for kind, *numbers in found:
        hue, saturation, lightness = map(int, numbers)
        rgb = np.array(colorsys.hls_to_rgb(hue / 360, lightness / 100, saturation / 100))
        result[kind] = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return result


def lab(linear: np.ndarray) -> np.ndarray:
    xyz = TO_XYZ @ np.clip(linear, 0, 1) / WHITE
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_every_kind_has_a_colour() -> None:
    assert set(colours()) == set(KINDS)


@pytest.mark.parametrize("sight", SIGHT)
def test_kinds_differ(sight: str) -> None:
    seen = {kind: lab(np.array(SIGHT[sight]) @ rgb) for kind, rgb in colours().items()}
    for one, other in itertools.combinations(seen, 2):
        # An inlined function is a paler native one: their likeness is meant.
        least = 15 if {one, other} == {"native", "inlined"} else 18
        assert np.linalg.norm(seen[one] - seen[other]) > least, (one, other)


def test_text_is_readable() -> None:
    luminance = TO_XYZ[1]
    ink = 0.0091  # #16181d
    for kind, rgb in colours().items():
        assert (luminance @ rgb + 0.05) / (ink + 0.05) > 4.5, kind
