"""The user's own probes: from texts to what ``bpf/probe.bpf.c`` is told to do.

::

    points       "uprobe:/lib/libc.so.6:malloc" → what to attach
    scopes       what can be read there: arguments and their types, by name
    expressions  "args.file.f_inode.i_ino", "size >= 4096" → operands, terms, metrics
    plan         all of it → constants of the program, and the layout of its records
"""
