from workbench.schema import FRAMES, arrow_schema
from workbench.symbols.frame_table import Frame, FrameTable


def test_frames_are_told_once():
    frames = FrameTable()
    first = frames.intern("a", Frame("f", "/bin/x", "ab", 1, "native"))
    assert frames.intern("a", Frame("other", "", "", 0, "native")) == first
    assert frames.intern("b", Frame("g", "[kernel]", "", 2**64 - 1, "kernel")) == first + 1
    assert frames.find("a") == first
    assert frames.find("c") == -1
    assert len(frames) == 3
    batch = frames.take()
    assert batch.schema == arrow_schema(FRAMES)
    assert batch.schema.field("offset").metadata == arrow_schema(FRAMES).field("offset").metadata
    assert [(row["frame_id"], row["function"]) for row in batch.to_pylist()] == [
        (0, "[unknown]"),
        (1, "f"),
        (2, "g"),
    ]
    assert batch.to_pylist()[2] == {
        **{"frame_id": 2, "function": "g", "file": None, "line": None, "module": "[kernel]"},
        **{"build_id": "", "offset": 2**64 - 1, "kind": "kernel"},
    }
    assert frames.take().num_rows == 0
    assert frames.take().schema == arrow_schema(FRAMES)


def test_frame_zero_is_unknown():
    row = FrameTable().take().to_pylist()[0]
    assert (row["module"], row["kind"], row["offset"]) == ("[unknown]", "unknown", 0)


def test_renamed_frames_are_told_again():
    frames = FrameTable()
    number = frames.intern("a", Frame("[anon]", "[anon]", "", 7, "unknown"))
    frames.take()
    frames.replace(number, Frame("f", "[anon]", "", 7, "jit", "a.js", 3))
    row = frames.take().to_pylist()
    assert [(r["frame_id"], r["function"], r["file"], r["line"], r["kind"]) for r in row] == [
        (number, "f", "a.js", 3, "jit")
    ]
    # Renamed before it was told: told once, with the new name.
    number = frames.intern("b", Frame("[anon]", "[anon]", "", 8, "unknown"))
    frames.replace(number, Frame("g", "[anon]", "", 8, "jit"))
    assert [row["function"] for row in frames.take().to_pylist()] == ["g"]


def test_control_characters_in_names():
    frames = FrameTable()
    frames.intern("a", Frame("f\ufffd\n\0", "/bin/x", "", 0, "native"))
    assert frames.take().to_pylist()[1]["function"] == "f\ufffd\n\0"
