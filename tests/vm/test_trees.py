"""Header trees for BCC of other kernels: made here, from the BTF in their images."""

import os
import subprocess

import pytest

from vm import kernels
from workbench.elf import Elf
from workbench.probe.bcc import headers
