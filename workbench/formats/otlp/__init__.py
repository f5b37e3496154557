"""OTLP: a session as traces, metrics, logs and profiles of OpenTelemetry.

    tables ──► traces  (process_spans, thread_spans, connections, network_spans) ──┐
           ──► metrics (instruments, series; counted_metrics, recorder_metrics) ───┤
           ──► profiles (symbols, dictionary)                                      ├─► encode
           ──► logs                                                               ─┘

:func:`workbench.formats.otlp.encode.requests` makes the serialised requests. Everything is
encoded in whole columns (:mod:`workbench.formats.otlp.wire`); what becomes what is told in
``docs/otlp.md``.
"""
