"""OTLP: a session as traces, metrics, logs and profiles of OpenTelemetry.

:func:`workbench.formats.otlp.encode.requests` makes the serialised requests, column by column.
"""
