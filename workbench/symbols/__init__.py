"""Addresses to frames: kernel, ELF and JIT symbols."""
