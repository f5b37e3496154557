"""OTLP's profiles from files: which they are, their messages as columns, and what they mean."""
