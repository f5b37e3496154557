"""Shared set-up of the tests."""

from __future__ import annotations

import sys
from pathlib import Path

# Import mode is importlib: helpers beside the tests (synthetic.py, ...) are found through this.
sys.path.insert(0, str(Path(__file__).parent))
