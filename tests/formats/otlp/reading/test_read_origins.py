"""The attributes of resources and scopes, and the profile of the workbench that they name."""

from __future__ import annotations

import numpy as np
import pytest
from otlp_made import Made, dictionaries

from workbench.errors import ImportFormatError
from workbench.formats.otlp.reading.messages import WireMessages
from workbench.formats.otlp.reading.profile_schema import ProfilesData, ResourceProfiles
from workbench.formats.otlp.reading.read_origins import name_of, resources_of, scopes_of


def origins(made):
    """Resources and scopes of a request."""
    data = np.frombuffer(made.body(), np.uint8)
    requests = WireMessages(data, np.array([0]), np.array([len(data)]))
    found = dictionaries(made)
    outer, request = requests.children(ProfilesData.RESOURCE_PROFILES)
    scoped, of = outer.children(ResourceProfiles.SCOPE_PROFILES)
    return resources_of(found, outer, request), scopes_of(found, scoped, request[of])


def test_attributes():
    made = Made()
    made.profile(resource={"service.name": "shop", "tags": ["a", 1]}, scope={"x": 1})
    made.profile()
    scope = made.data.resource_profiles[0].scope_profiles[0].scope
    scope.name, scope.version = "profiler", "1.2"
    named = made.data.resource_profiles[0].resource.attributes.add()
    named.key_strindex = made.text("host.name")
    named.value.string_value_strindex = made.text("here")
    resources, scopes = origins(made)
    assert resources[0] == {"service.name": "shop", "tags": ["a", 1], "host.name": "here"}
    assert scopes[0] == {"name": "profiler", "version": "1.2", "x": 1}
    assert (resources[1], scopes[1].get("x")) == ({}, None)


def test_a_key_that_leads_nowhere():
    made = Made()
    made.profile(resource={"a": 1})
    made.data.resource_profiles[0].resource.attributes.add(key_strindex=99)
    with pytest.raises(ImportFormatError, match="no entry of stringTable"):
        origins(made)


def test_profiles_of_the_workbench():
    scope = {"workbench.profile.cpu": "ab", "other": "cd"}
    assert name_of({"workbench.profile": "ab"}, scope) == "cpu"
    assert name_of({"workbench.profile": "cd"}, scope) == ""
    assert name_of({}, scope) == ""
