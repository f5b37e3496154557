"""Halving requests: all items, once, in order, with what surrounds them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from otlp_messages import MAKERS, attribute, identities, items, profiles, resolved, traces

from workbench.formats.otlp.request import Request
from workbench.formats.otlp.sending.split import halve
from workbench.formats.otlp.signals import SIGNALS


def parsed(request):
    return SIGNALS[request.signal].request().FromString(request.body)


def in_order(request):
    return [
        item.SerializeToString(deterministic=True)
        for item in items(request.signal, parsed(request))
    ]


@pytest.mark.parametrize("name", ["traces", "metrics", "logs"])
def test_halves_hold_all_items_in_order(name):
    @settings(max_examples=30)
    @given(st.integers(2, 40))
    def check(count):
        request = MAKERS[name](100, count)
        first, second = halve(request)
        assert (first.items, second.items) == (count // 2, count - count // 2)
        assert sum(identities(name, parsed(first)).values()) == first.items
        assert in_order(first) + in_order(second) == in_order(request)

    check()


def test_profiles_keep_what_they_refer_to():
    request = profiles(0, 13, each=5, text=50)
    halves = halve(request)
    assert [half.items for half in halves] == [6, 7]
    whole = resolved(parsed(request))
    assert resolved(parsed(halves[0])) + resolved(parsed(halves[1])) == whole
    assert max(len(half.body) for half in halves) < 0.7 * len(request.body)
    kinds = [
        [
            p.profile_id
            for r in parsed(h).resource_profiles
            for s in r.scope_profiles
            for p in s.profiles
        ]
        for h in halves
    ]
    assert [len(k) for k in kinds] == [2, 2]  # the profile in the middle is in both
    assert kinds[0][1] == kinds[1][0]


def test_what_surrounds_items_is_in_both_halves():
    first, second = map(parsed, halve(traces(0, 10)))
    assert [r.resource.attributes[0].value.string_value for r in first.resource_spans] == ["part-0"]
    assert [r.resource.attributes[0].value.string_value for r in second.resource_spans] == [
        "part-1"
    ]
    first, second = map(parsed, halve(halve(traces(0, 10))[0]))
    assert first.resource_spans[0].resource == second.resource_spans[0].resource
    assert first.resource_spans[0].scope_spans[0].scope.name == "tests"


def test_messages_without_items_are_in_one_half():
    request = MAKERS["metrics"](0, 10)
    first, second = map(parsed, halve(request))
    names = [
        m.name
        for half in (first, second)
        for r in half.resource_metrics
        for s in r.scope_metrics
        for m in s.metrics
    ]
    assert names.count("without data") == 1


def test_a_giant_is_separated_from_the_small():
    request = traces(0, 3)
    message = parsed(request)
    attribute(items("traces", message)[0].attributes, "giant", "x" * 100_000)
    first, second = halve(Request("traces", 3, message.SerializeToString()))
    assert (first.items, second.items) == (1, 2)
    assert len(second.body) < 1000 < len(first.body)
    assert halve(first) is None


def test_what_cannot_be_halved():
    assert halve(traces(0, 1)) is None
    assert halve(Request("traces", 0, b"")) is None
    request = traces(0, 2)
    message = parsed(request)
    del message.resource_spans[1:]
    scope = message.resource_spans[0].scope_spans[0]
    scope.spans.add(name="another")
    attribute(message.resource_spans[0].resource.attributes, "giant", "x" * 100_000)
    # Both halves would have what makes it large.
    assert halve(Request("traces", 2, message.SerializeToString())) is None


def test_broken_profiles_are_not_halved():
    message = parsed(profiles(0, 4))
    items("profiles", message)[0].stack_index = 99
    assert halve(Request("profiles", 4, message.SerializeToString())) is None


def test_items_that_were_counted_otherwise_stay_as_many():
    request = traces(0, 10)
    halves = halve(Request("traces", 25, request.body))
    assert [half.items for half in halves] == [12, 13]


def test_a_sample_counts_as_often_as_it_was_seen():
    message = parsed(profiles(0, 4))
    for number, sample in enumerate(items("profiles", message)):
        sample.timestamps_unix_nano.extend(range(10 * number))  # 1, 11, 21 and 31 times
    halves = halve(Request("profiles", 64, message.SerializeToString()))
    assert [half.items for half in halves] == [12, 52]
