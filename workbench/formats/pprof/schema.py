"""Numbers of the fields of pprof's messages.

They are those of ``proto/profile.proto`` of the public repository google/pprof, which also says
what each field means.
"""

from __future__ import annotations

from enum import IntEnum


class Profile(IntEnum):
    """The file's one message."""

    SAMPLE_TYPE = 1
    SAMPLE = 2
    MAPPING = 3
    LOCATION = 4
    FUNCTION = 5
    STRING_TABLE = 6
    DROP_FRAMES = 7
    KEEP_FRAMES = 8
    TIME_NANOS = 9
    DURATION_NANOS = 10
    PERIOD_TYPE = 11
    PERIOD = 12
    COMMENT = 13
    DEFAULT_SAMPLE_TYPE = 14
    DOC_URL = 15


class ValueType(IntEnum):
    """What a value is, and its unit."""

    TYPE = 1
    UNIT = 2


class Sample(IntEnum):
    """A stack with its values and labels."""

    LOCATION_ID = 1
    VALUE = 2
    LABEL = 3


class Label(IntEnum):
    """A text or a number that is known of a sample."""

    KEY = 1
    STR = 2
    NUM = 3
    NUM_UNIT = 4


class Mapping(IntEnum):
    """A file in memory."""

    ID = 1
    MEMORY_START = 2
    MEMORY_LIMIT = 3
    FILE_OFFSET = 4
    FILENAME = 5
    BUILD_ID = 6
    HAS_FUNCTIONS = 7
    HAS_FILENAMES = 8
    HAS_LINE_NUMBERS = 9
    HAS_INLINE_FRAMES = 10


class Location(IntEnum):
    """An address, with the functions that are there: what was inlined first."""

    ID = 1
    MAPPING_ID = 2
    ADDRESS = 3
    LINE = 4
    IS_FOLDED = 5


class Line(IntEnum):
    """A function at a location."""

    FUNCTION_ID = 1
    LINE = 2
    COLUMN = 3


class Function(IntEnum):
    """A function."""

    ID = 1
    NAME = 2
    SYSTEM_NAME = 3
    FILENAME = 4
    START_LINE = 5
