"""Addresses to frames: kernel, ELF and JIT symbols.

::

    symbolizer      what the recorder uses: add_process, frames_for, kernel_frames, new_frames
    ├── resolver        frames of addresses that are new
    │   ├── frame_table     numbers frames, tells new and renamed ones
    │   ├── image_cache     files that processes map
    │   │   └── image           one file, found through the process, read at most once
    │   │       └── elf_symbols     its functions; plt: its stubs; demangle: readable names
    │   └── kallsyms        the kernel's functions
    └── process         one process: mappings over time, perfmap (JIT code)

    table           sorted ranges with names, under elf_symbols, kallsyms and perfmap
"""

from workbench.symbols.symbolizer import Symbolizer, SymbolizerStats

__all__ = ["Symbolizer", "SymbolizerStats"]
