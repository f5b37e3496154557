"""Where profiles come from: the attributes of their resources and scopes."""

from __future__ import annotations

from typing import Any

from workbench.formats.otlp.reading.messages import Integers, Messages
from workbench.formats.otlp.reading.profile_schema import (
    InstrumentationScope,
    Resource,
    ResourceProfiles,
    ScopeProfiles,
)
from workbench.formats.otlp.reading.read_batch import Attributes
from workbench.formats.otlp.reading.read_dictionary import Dictionaries

_SERIES = "workbench.profile"


def resources_of(found: Dictionaries, outer: Messages, request: Integers) -> list[dict[str, Any]]:
    """Return the attributes of the resource of each ``ResourceProfiles``."""
    each, owner = outer.children(ResourceProfiles.RESOURCE)
    result: list[dict[str, Any]] = [{} for _ in range(len(outer))]
    pairs = found.pairs(each, Resource.ATTRIBUTES, request[owner])
    for at, attributes in zip(owner.tolist(), pairs, strict=True):
        result[at] |= attributes
    return result


def scopes_of(found: Dictionaries, scoped: Messages, request: Integers) -> list[dict[str, Any]]:
    """Return the attributes of each scope, with its ``name`` and ``version``."""
    each, owner = scoped.children(ScopeProfiles.SCOPE)
    result: list[dict[str, Any]] = [{} for _ in range(len(scoped))]
    pairs = found.pairs(each, InstrumentationScope.ATTRIBUTES, request[owner])
    for key, one in (
        ("name", InstrumentationScope.NAME),
        ("version", InstrumentationScope.VERSION),
    ):
        texts, of = each.texts(one)
        for at, text in zip(of.tolist(), texts, strict=True):
            pairs[at] = {key: text} | pairs[at]
    for at, attributes in zip(owner.tolist(), pairs, strict=True):
        result[at] |= attributes
    return result


def name_of(own: Attributes, scope: Attributes) -> str:
    """Return the profile that the workbench made this of: its scope names it by its id."""
    series = own.get(_SERIES)
    if series is None:
        return ""
    start = f"{_SERIES}."
    names = (key for key, value in scope.items() if value == series and key.startswith(start))
    return next(names, "").removeprefix(start)
