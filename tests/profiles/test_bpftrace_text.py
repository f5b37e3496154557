from __future__ import annotations

import polars as pl
import pytest

from workbench.errors import ImportFormatError
from workbench.profiles.bpftrace_text import entries, keys

USER = "\n    work+38\n    main+122\n"
KERNEL = "\n    vfs_read+12\n    do_syscall_64+113\n"
RAW = "\n    0x7f9cbc7e18a3\n"


def kinds(*of_keys):
    """Return name and kind of each frame, leaf first, of keys of one map."""
    schema = {"map": pl.String, "key": pl.String, "amount": pl.Int64}
    found = keys(pl.DataFrame([("m", key, 1) for key in of_keys], schema=schema, orient="row"), 99)
    texts = found["frames"].list.join("\n")
    names, frames = entries(texts)
    called = pl.concat([frames, names[frames["name"]]], how="horizontal")
    rows = called.group_by("stack", maintain_order=True).agg("function", "kind")
    return [list(zip(names, kinds, strict=True)) for _, names, kinds in rows.iter_rows()]


def test_the_kernel_is_the_leaf_wherever_it_stands():
    whole = [("vfs_read", "kernel"), ("do_syscall_64", "kernel"), ("work", "native"),
             ("main", "native")]  # fmt: skip
    assert kinds(f"{KERNEL},{USER},a", f"{USER},{KERNEL},a") == [whole, whole]


def test_beside_a_kernel_stack_the_other_is_the_programs_in_all_keys():
    alone, both = kinds(f"{USER},,a", f"{USER},{KERNEL},a")
    assert alone == [("work", "native"), ("main", "native")]
    assert both[2:] == alone


def test_where_a_lone_stack_ran_is_not_known():
    assert kinds(USER) == [[("work", "unknown"), ("main", "unknown")]]
    assert kinds(KERNEL) == [[("vfs_read", "kernel"), ("do_syscall_64", "kernel")]]
    assert kinds(RAW) == [[("0x7f9cbc7e18a3", "native")]]


def test_what_else_a_key_holds():
    schema = {"map": pl.String, "key": pl.String, "amount": pl.Int64}
    row = ("m", f"12,{USER}, a job,", 5)
    given = pl.DataFrame([row], schema=schema, orient="row")
    found = keys(given, 99)
    assert found["others"].to_list() == [["12", "a job"]]
    assert found["amount"].to_list() == [5]
    with pytest.raises(ImportFormatError, match="more than 2 parts"):
        keys(given, 2)
