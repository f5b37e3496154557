"""The resource as the environment says it."""

import pytest

from workbench.errors import DestinationError
from workbench.formats.otlp.resource_environment import told


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({}, {}),
        ({"OTEL_SERVICE_NAME": " ", "OTEL_RESOURCE_ATTRIBUTES": ""}, {}),
        ({"OTEL_SERVICE_NAME": "shop"}, {"service.name": "shop"}),
        (
            {"OTEL_RESOURCE_ATTRIBUTES": " a.b = c%20d , e=f=g,h=,"},
            {"a.b": "c d", "e": "f=g", "h": ""},
        ),
        (
            {"OTEL_SERVICE_NAME": "shop", "OTEL_RESOURCE_ATTRIBUTES": "service.name=other,a=b"},
            {"service.name": "shop", "a": "b"},
        ),
        ({"OTEL_RESOURCE_ATTRIBUTES": "a=b%2Cc,a=d"}, {"a": "d"}),
    ],
)
def test_variables(variables, found):
    assert told(variables) == found


@pytest.mark.parametrize("text", ["a", "a=b,c", "=b", "a b"])
def test_what_has_no_meaning(text):
    with pytest.raises(DestinationError, match="no key=value"):
        told({"OTEL_RESOURCE_ATTRIBUTES": text})


def test_the_environment_of_the_process(monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    assert told() == {"service.name": "shop"}
