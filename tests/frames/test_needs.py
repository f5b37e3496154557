import pytest
from fake_recording import FakeRecording

from workbench.errors import MissingTableError
from workbench.frames.needs import has, need, only_counted

REC = FakeRecording(cpu=[{"stack_id": 3, "weight": 2}])


def test_gives_only_the_columns_that_are_needed():
    assert need(REC, "cpu", "weight", "stack_id").collect().rows() == [(2, 3)]
    assert has(REC, "cpu")
    assert not has(REC, "stacks")


@pytest.mark.parametrize(
    ("table", "advice"),
    [("stacks", "takes stacks"), ("processes", "again"), ("syscalls_agg", "record syscalls")],
)
def test_a_missing_table_says_what_to_record(table, advice):
    with pytest.raises(MissingTableError, match=table) as caught:
        need(REC, table, "ts")
    assert advice in caught.value.advice
    assert "cpu" in caught.value.why


def test_a_missing_column_is_named():
    with pytest.raises(MissingTableError, match="colour") as caught:
        need(REC, "cpu", "weight", "colour")
    assert "stack_id" in caught.value.why


def test_single_events_tell_more_than_counts():
    rows = [{"pid": 1}]
    assert only_counted(FakeRecording(block_agg=rows), "block", "block_agg")
    assert not only_counted(FakeRecording(block_agg=rows, block=rows), "block", "block_agg")
    assert not only_counted(FakeRecording(block=rows), "block", "block_agg")
