"""OTLP, the protocol of OpenTelemetry: encoding, sending and writing to files."""
