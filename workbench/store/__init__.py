"""The session format: writing, reading, packing into one file."""
