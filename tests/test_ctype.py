"""Types of C."""

from workbench.ctype import CHAR, INT, NUMBERS, POINTER, WORD, CType, pointer_to


def test_pointers():
    text = pointer_to(CHAR)
    assert (text.kind, text.size, text.name) == (POINTER, 8, "char *")
    assert text.target() is CHAR
    assert pointer_to(None).target is None
    assert pointer_to(None).name == "void *"


def test_numbers_that_casts_name():
    assert {(k.size, k.signed) for k in NUMBERS.values()} == {
        (size, signed) for size in (1, 2, 4, 8) for signed in (False, True)
    }
    assert NUMBERS["i16"] == CType(INT, "i16", 2, signed=True)
    assert WORD.size == 8
    assert not WORD.signed


def test_types_are_equal_whatever_leads_to_their_members():
    one, other = (CType("struct", "s", 8, members=lambda: {}) for _ in range(2))
    assert one == other
