"""What makes samples one table."""

from workbench.formats.otlp.reading.read_batch import Kind


def test_kinds_differ_in_all_that_they_have():
    kind = Kind("samples", "count", "cpu", "nanoseconds", 10, "")
    others = [kind._replace(**{name: "x" if name != "period" else 11}) for name in kind._fields]
    assert len({kind, *others}) == 7
    assert Kind(*kind) in {kind}
