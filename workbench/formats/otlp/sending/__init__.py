"""Requests to receivers of OTLP, over gRPC or HTTP, and what became of each item."""
