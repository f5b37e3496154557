"""Programs of the user's own, in C: compiled, attached, and their data as dataframes.

>>> import workbench as wb
>>> with wb.bpf(text) as cell:                     # doctest: +SKIP
...     work()
>>> cell["events"], cell["counts"]                 # doctest: +SKIP

``%%bpf`` does the same for a cell of a notebook.
"""
