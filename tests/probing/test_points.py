"""Where probes attach, as texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import ParameterError
from workbench.probe.perf_event import EVENTS
from workbench.probing.points import FORMS, Point, parse


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("kprobe:vfs_read", Point("kprobe", "vfs_read")),
        ("kprobe:vfs_read+0x10", Point("kprobe", "vfs_read+0x10")),
        ("fexit:vfs_read", Point("fexit", "vfs_read")),
        ("uprobe:/lib/x.so:malloc", Point("uprobe", "malloc", "/lib/x.so")),
        ("uprobe:libx:ns::f(int)", Point("uprobe", "ns::f(int)", "libx")),
        ("usdt:/bin/p:prov:name", Point("usdt", "name", "/bin/p", "prov")),
        ("usdt:/bin/p:name", Point("usdt", "name", "/bin/p")),
        ("tracepoint:sched:sched_switch", Point("tracepoint", "sched_switch", group="sched")),
        ("tp:sched:sched_switch", Point("tracepoint", "sched_switch", group="sched")),
        ("rawtp:sched_switch", Point("rawtp", "sched_switch")),
        ("tp_btf:sched_switch", Point("rawtp", "sched_switch")),
        ("perf:cpu-clock:99", Point("perf", "cpu-clock", rate=99)),
        ("perf:cpu-clock", Point("perf", "cpu-clock", rate=99)),
        ("perf:page-faults", Point("perf", "page-faults", rate=1000)),
    ],
)
def test_forms(text, point):
    assert parse(text) == point


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("uprobe:/lib/x.so:ns::f(int)", "ns_f"),
        ("uprobe:/lib/x.so:0x1234", "probe_0x1234"),
        ("usdt:p:function__entry", "function_entry"),
        ("perf:cpu-clock", "cpu_clock"),
        ("kprobe:__x64_sys_read", "x64_sys_read"),
        ("uprobe:p:" + "f" * 99, "f" * 40),
    ],
)
def test_names_of_tables(text, table):
    assert parse(text).table == table


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "kprobe", "kprobe:", "uprobe:/lib/x.so", "uprobe::f", "usdt:x", "usdt::a:b"),
        *("tracepoint:sched", "tracepoint:a:b:c", "perf:", "perf:cpu-clock:x", "perf:cpu-clock:0"),
        *("perf:cpu-clock:1:2", "perf:cpu-clok"),
    ],
)
def test_other_texts_are_errors_that_say_the_form(text):
    with pytest.raises(ParameterError) as caught:
        parse(text)
    assert any(form in str(caught.value) for form in (*FORMS.values(), *FORMS, *EVENTS))


@given(st.text(max_size=40))
def test_any_text_is_a_point_or_an_error(text):
    try:
        assert parse(text).kind in FORMS
    except ParameterError:
        pass
