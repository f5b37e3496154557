"""A session: a recording with views and exports."""

import pytest
from synthetic import make_session, truth

import workbench as wb
from workbench.errors import (
    ExportError,
    MissingTableError,
    SessionNotFoundError,
    StorageError,
    WorkbenchError,
)
from workbench.formats import writable
from workbench.session import Session, open_session


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    with wb.open(make_session(tmp_path_factory.mktemp("s") / "s.wb", rows=500)) as session:
        yield session


@pytest.fixture(scope="module")
def only_cpu(tmp_path_factory):
    return wb.open(make_session(tmp_path_factory.mktemp("c") / "c.wb", kinds=["cpu"], rows=50))


def test_open_gives_a_session(session):
    assert type(session) is Session
    assert session.kinds == ("syscalls", "cpu")
    assert type(session.where(pid=1000)) is Session
    assert type(session.window(0.0, 5.0)) is Session


def test_open_verifies_when_asked(tmp_path):
    path = make_session(tmp_path / "s.wb", rows=200)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(WorkbenchError):
        open_session(path, verify=True)
    assert open_session(make_session(tmp_path / "t.wb", rows=20), verify=True).state == "complete"


def test_open_of_nothing(tmp_path):
    with pytest.raises(SessionNotFoundError):
        wb.open(tmp_path / "nothing.wb")


def test_flamegraph_shows_what_is_selected(session):
    whole = session.flamegraph(title="All of it")
    html = whole._repr_html_()
    assert "All of it" in html
    assert "do_syscall_64" in html
    one = session.where(comm="bash").flamegraph(by=())._repr_html_()
    assert len(one) < len(html) or "job" not in one


def test_overview_of_a_kind(session):
    assert "Hotspots" in repr(session.overview("cpu"))
    assert type(session.overview()) is type(session.syscalls())
    with pytest.raises(MissingTableError, match="locks"):
        session.overview("locks")


def test_flamegraph_of_what_has_no_stacks(session):
    with pytest.raises(MissingTableError):
        session.flamegraph("memory")


def test_syscalls_overview(session, only_cpu):
    html = session.syscalls()._repr_html_()
    assert "openat" in html
    with pytest.raises(MissingTableError):
        only_cpu.syscalls()


def test_report_is_one_file_without_network(session, tmp_path):
    path = session.report(tmp_path / "r.html")
    assert path == tmp_path / "r.html"
    text = path.read_text()
    assert "<html" in text
    assert "openat" in text
    assert 'src="http' not in text


@pytest.mark.parametrize("format", writable())
def test_every_format(session, tmp_path, format):
    path = session.export(format, tmp_path / f"out.{format}")
    assert path.stat().st_size > 100
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_folded_equals_the_truth(session, tmp_path):
    lines = session.export("folded", tmp_path / "s.folded").read_text().splitlines()
    got = {key: int(n) for key, _, n in (line.rpartition(" ") for line in lines)}
    expected = truth(("syscalls", "cpu"), 500).folded()
    named = {f"[no name]{key}" if key[0] == ";" else key: n for key, n in expected.items()}
    assert got == named


def test_exports_that_cannot_be(session, tmp_path):
    with pytest.raises(ExportError, match="no format"):
        session.export("docx", tmp_path / "x")
    with pytest.raises(MissingTableError):
        session.export("csv", tmp_path / "x", table="nothing")
    with pytest.raises(ExportError, match="directory"):
        session.export("csv", tmp_path)
    with pytest.raises(StorageError):
        session.export("csv", tmp_path / "no" / "x")
    assert list(tmp_path.iterdir()) == []


def test_send_and_panel(session, monkeypatch):
    from otlp_receivers import HttpReceiver, free_port

    class Receiver(HttpReceiver):
        def take(self, signal, message):
            self.taken[signal][message.ByteSize()] += 1

    monkeypatch.delenv("OTEL_EXPORTER_OTLP_HEADERS", raising=False)
    told = []
    with Receiver() as there:
        part = session.where(comm="worker-0")
        report = part.send(there.endpoint, signals=["traces", "logs"], progress=told.append)
        assert report.check().ok
        panel = part.export_panel(format="otlp", endpoint=there.endpoint)
        panel.start()
        assert panel.wait(60)
    assert told
    assert report.total("sent") == panel.result.total("sent") - sum(
        panel.result.of(name).sent for name in ("metrics", "profiles")
    )
    assert report.of("traces").sent > 0
    assert all(there.taken.values())
    with pytest.raises(ExportError, match="sounds"):
        session.send(f"http://127.0.0.1:{free_port()}", signals=["sounds"])


def test_off_cpu_time(tmp_path, session):
    with wb.open(make_session(tmp_path / "o.wb", kinds=["offcpu"], rows=50)) as rec:
        assert "off the CPU" in repr(rec.offcpu())
        assert rec.flamegraph("offcpu", by=("state",)).tree.unit == "ns"
    with pytest.raises(MissingTableError):
        session.offcpu()
