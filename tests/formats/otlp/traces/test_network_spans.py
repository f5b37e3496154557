"""HTTP requests and DNS queries as spans."""

from otlp_rows import DNS, HTTP, TCP
from otlp_sessions import T0, attributes, messages, spans, written


def by_start(rec, key, value):
    found = [s for s in spans(messages(rec, "traces")) if attributes(s).get(key) == value]
    return sorted(found, key=lambda s: s.start_time_unix_nano)


def test_requests(tmp_path):
    rec = written(tmp_path, http=HTTP, tcp=TCP)
    answered, lost, served, lone = by_start(rec, "network.protocol.name", "http")
    connection = next(s for s in spans(messages(rec, "traces")) if s.name == "tcp client")
    assert (answered.start_time_unix_nano, answered.end_time_unix_nano) == (T0 + 10, T0 + 30)
    assert answered.name == "GET"
    assert answered.kind == 3
    assert answered.parent_span_id == lost.parent_span_id == connection.span_id
    assert answered.trace_id == connection.trace_id
    shown = attributes(answered)
    assert shown["url.path"] == "/a"
    assert shown["url.full"] == "http://10.0.0.2/a?b=c"
    assert shown["url.query"] == "b=c"
    assert shown["http.request.method"] == "GET"
    assert shown["http.response.status_code"] == 200
    assert shown["server.address"] == "10.0.0.2"
    assert shown["server.port"] == 80
    assert "error.type" not in shown
    assert answered.status.code == 0

    assert lost.start_time_unix_nano == lost.end_time_unix_nano == T0 + 40
    assert attributes(lost)["workbench.unanswered"] is True
    assert "http.response.status_code" not in attributes(lost)

    assert served.kind == 2
    assert served.name == "_OTHER"
    assert attributes(served)["http.request.method"] == "_OTHER"
    assert attributes(served)["error.type"] == "503"
    assert served.status.code == 2
    assert served.status.message == ""
    assert attributes(served)["server.address"] == "10.0.0.1"
    thread = {s.span_id: s for s in spans(messages(rec, "traces"))}[served.parent_span_id]
    assert attributes(thread)["thread.id"] == 2000  # its connection is not known

    assert lone.name == "HTTP"
    assert "http.request.method" not in attributes(lone)
    assert attributes(lone)["error.type"] == "404"  # to a client
    assert len({s.span_id for s in (answered, lost, served, lone)}) == 4


def test_queries(tmp_path):
    rec = written(tmp_path, dns=DNS)
    one, other = sorted(by_start(rec, "network.protocol.name", "dns"), key=lambda s: s.name)
    assert (one.name, other.name) == ("dns A", "dns AAAA")
    assert (one.start_time_unix_nano, one.end_time_unix_nano) == (T0 + 1, T0 + 9)
    assert attributes(one)["dns.question.name"] == "example.org"
    assert attributes(one)["error.type"] == one.status.message == "nxdomain"
    assert attributes(one)["server.port"] == 53
    assert attributes(other)["workbench.unanswered"] is True
    assert other.status.code == 0


def test_identifiers_are_those_of_the_question(tmp_path):
    """The span of a request is the same whether its answer is among the rows or not."""
    rec = written(tmp_path, http=HTTP)
    whole = by_start(rec, "url.path", "/a")
    cut = by_start(rec.window(None, T0 + 20), "url.path", "/a")
    assert [s.span_id for s in whole] == [s.span_id for s in cut]
    assert attributes(cut[0])["workbench.unanswered"] is True


def test_no_messages(tmp_path):
    rec = written(tmp_path, http=[], dns=[])
    assert not by_start(rec, "url.scheme", "http")


def test_whole_urls(tmp_path):
    """Of clients only, with the port unless it is that of HTTP, and IPv6 in brackets."""
    asked = HTTP[1] | {"remote_address": "fe80::1", "remote_port": 8080, "path": "/x"}
    rows = [asked, HTTP[1] | {"ts": T0 + 11, "path": "*"}, HTTP[4]]
    found = spans(messages(written(tmp_path, http=rows), "traces"))
    urls = [attributes(s).get("url.full") for s in found if "url.scheme" in attributes(s)]
    assert sorted(urls, key=str) == [None, None, "http://[fe80::1]:8080/x"]
