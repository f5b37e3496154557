from fake_recording import FakeRecording

from workbench.frames.symbols import symbol_summary


def test_modules_with_the_most_nameless_frames_first():
    rows = [
        {"function": "f", "module": "/a", "build_id": "1", "kind": "native", "line": 3},
        {"function": "g", "module": "/a", "build_id": "1", "kind": "native", "line": None},
        {"function": "h", "module": "/a", "build_id": "1", "kind": "inlined", "line": 9},
        {"function": "[b]", "module": "/b", "build_id": "2", "kind": "native", "line": None},
    ]
    rec = FakeRecording(frames=[row | {"frame_id": i} for i, row in enumerate(rows)])
    assert symbol_summary(rec).rows() == [("/b", "2", 1, 0, 0), ("/a", "1", 2, 2, 1)]
