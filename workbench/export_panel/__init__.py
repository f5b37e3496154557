"""The panel that exports from a notebook: ``session.export_panel()``."""

from __future__ import annotations

from workbench.export_panel.panel import ExportPanel

__all__ = ["ExportPanel"]
