"""SQL on tables, without a recording around them."""

import pytest
import synthetic

from workbench.errors import QueryError
from workbench.queries import columns_of, run
from workbench.recording import Recording


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    path = synthetic.make_session(tmp_path_factory.mktemp("queries") / "a.wb", rows=400)
    with Recording.open(path) as opened:
        yield opened.tables


class Untouched:
    """A table that nobody may read."""

    name = "tcp"

    def lazy(self):
        raise AssertionError("it was read")


def test_tables_that_are_not_named_are_not_read(tables):
    found = run("SELECT count(*) AS n FROM syscalls", {**tables, "tcp": Untouched()})
    assert found["n"].item() == 400


def test_dictionaries_are_texts_where_a_function_needs_them(tables):
    (wanted,) = run("select count(*) from cpu where comm = 'bash'", tables).row(0)
    assert run("select count(*) from cpu where comm like '%ash'", tables).row(0) == (wanted,)
    assert wanted > 0


def test_arguments_count_from_one(tables):
    first = tables["syscalls"].polars()["args"].arr.get(0).to_list()
    assert run("select args[1] as a from syscalls", tables)["a"].to_list() == first


def test_what_cannot_be_run_lists_what_there_is(tables):
    with pytest.raises(QueryError, match="cannot be run") as caught:
        run("select nothing from cpu", tables)
    assert caught.value.advice == columns_of(tables.values())
    assert "cpu(ts, cpu, pid, tid, comm, stack_id, weight)" in caught.value.advice
    assert "nothing" in caught.value.why
