"""Exporters, one file per format: each takes a session or a selection of one."""
