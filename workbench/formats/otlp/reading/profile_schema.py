"""Fields of the messages of OTLP's profiles that are read: their number, and their name in JSON.

``opentelemetry/proto/profiles/v1development/profiles.proto`` and ``common/v1/common.proto`` of
opentelemetry-proto 1.45 (protocol 1.10). A test compares them with the generated classes.
"""

from __future__ import annotations

from typing import NamedTuple


class Field(NamedTuple):
    """One field of a message."""

    number: int
    json: str


class ProfilesData:
    """The same as ``ExportProfilesServiceRequest``."""

    RESOURCE_PROFILES = Field(1, "resourceProfiles")
    DICTIONARY = Field(2, "dictionary")


class ProfilesDictionary:
    """What all profiles of a request refer to by index; index 0 is "none"."""

    MAPPING_TABLE = Field(1, "mappingTable")
    LOCATION_TABLE = Field(2, "locationTable")
    FUNCTION_TABLE = Field(3, "functionTable")
    LINK_TABLE = Field(4, "linkTable")
    STRING_TABLE = Field(5, "stringTable")
    ATTRIBUTE_TABLE = Field(6, "attributeTable")
    STACK_TABLE = Field(7, "stackTable")


class ResourceProfiles:
    """Profiles of one resource."""

    RESOURCE = Field(1, "resource")
    SCOPE_PROFILES = Field(2, "scopeProfiles")


class Resource:
    """A process, a container, a machine."""

    ATTRIBUTES = Field(1, "attributes")


class ScopeProfiles:
    """Profiles of one profiler."""

    SCOPE = Field(1, "scope")
    PROFILES = Field(2, "profiles")


class InstrumentationScope:
    """The profiler."""

    NAME = Field(1, "name")
    VERSION = Field(2, "version")
    ATTRIBUTES = Field(3, "attributes")


class Profile:
    """Samples of one type."""

    SAMPLE_TYPE = Field(1, "sampleType")
    SAMPLES = Field(2, "samples")
    TIME_UNIX_NANO = Field(3, "timeUnixNano")
    DURATION_NANO = Field(4, "durationNano")
    PERIOD_TYPE = Field(5, "periodType")
    PERIOD = Field(6, "period")
    ATTRIBUTE_INDICES = Field(11, "attributeIndices")


class ValueType:
    """What a number is, and its unit."""

    TYPE_STRINDEX = Field(1, "typeStrindex")
    UNIT_STRINDEX = Field(2, "unitStrindex")


class Sample:
    """What was seen with one stack, once or several times."""

    STACK_INDEX = Field(1, "stackIndex")
    ATTRIBUTE_INDICES = Field(2, "attributeIndices")
    LINK_INDEX = Field(3, "linkIndex")
    VALUES = Field(4, "values")
    TIMESTAMPS_UNIX_NANO = Field(5, "timestampsUnixNano")


class Mapping:
    """A file in the memory of a process."""

    MEMORY_START = Field(1, "memoryStart")
    FILE_OFFSET = Field(3, "fileOffset")
    FILENAME_STRINDEX = Field(4, "filenameStrindex")
    ATTRIBUTE_INDICES = Field(5, "attributeIndices")


class Stack:
    """Locations, leaf first."""

    LOCATION_INDICES = Field(1, "locationIndices")


class Location:
    """An address, with the functions that were inlined there."""

    MAPPING_INDEX = Field(1, "mappingIndex")
    ADDRESS = Field(2, "address")
    LINES = Field(3, "lines")
    ATTRIBUTE_INDICES = Field(4, "attributeIndices")


class Line:
    """A place in a source file."""

    FUNCTION_INDEX = Field(1, "functionIndex")
    LINE = Field(2, "line")
    COLUMN = Field(3, "column")


class Function:
    """A function."""

    NAME_STRINDEX = Field(1, "nameStrindex")
    SYSTEM_NAME_STRINDEX = Field(2, "systemNameStrindex")
    FILENAME_STRINDEX = Field(3, "filenameStrindex")
    START_LINE = Field(4, "startLine")


class Link:
    """A span."""

    TRACE_ID = Field(1, "traceId")
    SPAN_ID = Field(2, "spanId")


class KeyValueAndUnit:
    """An attribute of the dictionary."""

    KEY_STRINDEX = Field(1, "keyStrindex")
    VALUE = Field(2, "value")
    UNIT_STRINDEX = Field(3, "unitStrindex")


class KeyValue:
    """An attribute of a resource or a scope; its key may be in the dictionary, too."""

    KEY = Field(1, "key")
    VALUE = Field(2, "value")
    KEY_STRINDEX = Field(3, "keyStrindex")


class AnyValue:
    """One of several values."""

    STRING = Field(1, "stringValue")
    BOOL = Field(2, "boolValue")
    INT = Field(3, "intValue")
    DOUBLE = Field(4, "doubleValue")
    ARRAY = Field(5, "arrayValue")
    KVLIST = Field(6, "kvlistValue")
    BYTES = Field(7, "bytesValue")
    STRING_STRINDEX = Field(8, "stringValueStrindex")


class ArrayValue:
    """Several values."""

    VALUES = Field(1, "values")


class KeyValueList:
    """Attributes as a value."""

    VALUES = Field(1, "values")
