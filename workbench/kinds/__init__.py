"""Capture kinds: one file of declarations per kind; adding the file registers it."""
