"""Plans: the constants that the program is told, against what it declares."""

import re
from pathlib import Path

import numpy as np
import pytest
from planning import planned, scope

from workbench.elf import Elf
from workbench.errors import ParameterError
from workbench.kinds import OBJECTS
from workbench.probe.btf import Btf
from workbench.probing import expressions, operands, plan

ROOT = Path(__file__).parent.parent.parent
SOURCES = ("histogram.bpf.h", "probe_fields.bpf.h", "probe.bpf.c")
SOURCE = "".join((ROOT / "bpf" / name).read_text() for name in SOURCES)


def test_limits_are_those_of_the_program():
    said = {n: int(v) for n, v in re.findall(r"#define (\w+)\s+(\d+)\b", SOURCE)}
    for name in ("MAX_FETCHES", "MAX_VARIANTS", "MAX_TERMS", "MAX_METRICS", "DATA_BYTES"):
        assert getattr(plan, name) == said[name]
    assert (said["HIST_SLOTS"], said["MAX_TEXT"]) == (plan.HIST_SLOTS, plan.TEXT_BYTES)
    assert said["MAX_STEPS"] == operands.MAX_STEPS
    assert said["MAX_TEXT"] == expressions.MAX_TEXT
    assert said["VALUE_WORDS"] >= 2 + plan.MAX_METRICS * plan.HIST_SLOTS


def test_numbers_of_names_are_those_of_the_program():
    with Elf.open(OBJECTS / "probe.bpf.o") as elf:
        btf = Btf.parse(elf.section_bytes(".BTF"))
    for names, enum, prefix in (
        (plan.SOURCES, "probe_source", "SOURCE_"),
        (plan.READS, "probe_read", "READ_"),
        (plan.MEMORIES, "probe_memory", "MEMORY_"),
        (plan.COMPARES, "probe_compare", "COMPARE_"),
    ):
        wanted = {f"{prefix}{name.upper()}": i for i, name in enumerate(names)}
        assert btf.enum(enum) == wanted
    assert list(btf.enum("probe_metric").values()) == sorted(set(plan.FIGURES.values()))


@pytest.mark.kernel
def test_every_setting_is_a_parameter_of_both_objects():
    from workbench.probe.objects import Object

    made = planned(by="a", aggregate=["hist(b)", "max(retval)"], filter="c > 1")
    for name in ("probe.bpf.o", "probe_stacks.bpf.o"):
        with Object(OBJECTS / name) as obj:
            for setting, value in made.settings.items():
                obj.set(setting, value)


def test_places_of_events():
    made = planned(fields=["a", "b", "c", "str(path, 5)"])
    places = {each.name: (each.place, each.value.size) for each in made.columns}
    assert places == {"b": (0, 8), "c": (8, 4), "a": (12, 1), "path": (13, 5)}
    assert (made.sent_bytes, made.data_bytes) == (24, 24)
    assert made.settings["entry_fetches"] == made.settings["return_fetches"] == 4


def test_what_only_a_filter_needs_is_not_sent():
    made = planned(fields=["a"], filter="b == 7 and a > 0")
    assert (made.sent_bytes, made.data_bytes) == (8, 16)
    assert made.settings["entry_needed"] == 2
    assert made.settings["term_value"] == [7, 0]
    assert made.settings["fetch_place"][:2] == [0, 8]  # a, which both want, once


def test_entries_and_returns():
    for point, given, wanted in (
        ("uprobe:p:f", {}, (True, False)),
        ("uprobe:p:f", {"latency": True}, (True, True)),
        ("uprobe:p:f", {"fields": ["a", "retval"]}, (True, True)),
        ("uprobe:p:f", {"filter": "retval < 0"}, (True, True)),
        ("uretprobe:p:f", {}, (False, True)),
        ("uretprobe:p:f", {"fields": ["retval", "comm", "pid"]}, (False, True)),
        ("uretprobe:p:f", {"fields": ["retval", "a"]}, (True, True)),
        ("uretprobe:p:f", {"aggregate": ["avg(latency)"]}, (True, True)),
        ("fexit:f", {"fields": ["a", "retval"]}, (False, True)),
        ("fexit:f", {"latency": True}, (True, True)),
    ):
        made = planned(point, **given)
        assert (made.entry, made.returns) == wanted, (point, given)
        assert made.settings["pair"] == int(all(wanted))
    made = planned(fields=["a", "retval"], filter="retval == 1 and b == 2")
    order = [made.settings[n] for n in
             ("entry_needed", "entry_fetches", "return_needed", "return_fetches")]  # fmt: skip
    assert order == [1, 2, 3, 3]
    assert (made.settings["entry_terms"], made.settings["all_terms"]) == (1, 2)
    assert made.settings["term_value"] == [2, 1]
    assert (made.settings["frame_register"], made.settings["frame_return"]) == (152, -8)


def test_groups():
    made = planned(by=["c", "a"], aggregate=["hist(b)", "sum(retval)"])
    assert [(each.name, each.place) for each in made.keys] == [("c", 0), ("a", 4)]
    assert (made.key_bytes, made.sent_bytes) == (8, 8)
    assert [(each.name, each.slot) for each in made.figures] == [("hist_b", 2), ("sum_retval", 66)]
    assert made.value_words == 67
    assert made.settings["group_missing"] == 0
    alone = planned(aggregate="sum(a)")
    assert alone.key_bytes == 8
    assert alone.settings["metric_place"] == [8]  # never within the key
    unreadable = planned(by="str(path)")
    assert unreadable.settings["group_missing"] == 1


def test_variants_have_one_record():
    scopes = [scope(), scope()]
    made = planned("uprobe:p:f", scopes, fields=["a", "b"])
    assert made.settings["variants"] == 2
    first = made.settings["fetch_place"][:2]
    assert made.settings["fetch_place"][plan.MAX_FETCHES : plan.MAX_FETCHES + 2] == first


def test_too_much():
    with pytest.raises(ParameterError, match="more than 1024"):
        planned(fields=[f"x{i}=str(arg5 + {i}, 500)" for i in range(3)])
    with pytest.raises(ParameterError, match="32 fields"):
        planned(fields=[f"x{i}=u8p(arg5)[{i}]" for i in range(33)])
    with pytest.raises(ParameterError, match="16 comparisons"):
        planned(filter=" and ".join(f"b != {i}" for i in range(17)))
    with pytest.raises(ParameterError, match="8 figures"):
        planned(aggregate=[f"sum(u8p(arg5)[{i}])" for i in range(9)])
    with pytest.raises(ParameterError, match="twice"):
        planned(aggregate=["sum(a)", "sum(a)"])


def test_settings_fit_the_program():
    made = planned(by="a", aggregate=["hist(b)"], filter="c > -1")
    assert np.all(np.array(made.settings["fetch_source"]) < len(plan.SOURCES))
    assert made.settings["term_value"] == [2**64 - 1]
