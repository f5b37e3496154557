"""Unwind tables: made of ELF files, cached, loaded for the BPF side."""
