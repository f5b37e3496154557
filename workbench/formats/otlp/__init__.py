"""OTLP, the protocol of OpenTelemetry: a session as traces, metrics, logs and profiles.

:func:`workbench.formats.otlp.encode.requests` makes serialised requests, column by column;
:func:`workbench.formats.otlp.send.send` sends them, and :mod:`workbench.formats.otlp.file` writes
them to files.
"""
