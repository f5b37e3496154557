"""Serialised requests as OTLP JSON, by the column: from pieces of wire format to pieces of text."""
