"""Hostile and broken XML is refused with one clear line; runs and windows change nothing that is read."""

from __future__ import annotations

import io
import re
import tracemalloc
from typing import Any, BinaryIO, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.errors import GridCRMError
from connectors.formats import RefusedFile, decode
from connectors.formats.espi import decoder as espi_decoder
from connectors.formats.meter_xml import stream
from tests.connectors.formats import meter_xml as x
from tests.connectors.formats.corpus import cases
from tests.connectors.formats.corpus.espi import COMMENTED, PREFIXED, SMALL, WHOLE
from tests.connectors.formats.corpus.iec61968 import WHOLE as MESSAGE
from tests.connectors.formats.sink import MemorySink, decoded
from tests.connectors.formats.torture import mutated

SECRET = "the-content-of-another-file"
FORMATS = {"espi": WHOLE, "iec61968": MESSAGE}
either = pytest.mark.parametrize("format", list(FORMATS))


def _refusal(data: bytes, format: str) -> str:
    sink = MemorySink()
    with pytest.raises(RefusedFile) as refusal:
        decode(io.BytesIO(data), format, {}, sink, name="a.xml")
    message = str(refusal.value)
    assert "\n" not in message
    assert message.startswith("a.xml: ")
    return message


def _with_prolog(data: bytes, prolog: str) -> bytes:
    return re.sub(rb"\?>\n", b"?>\n" + prolog.encode() + b"\n", data, count=1)


@either
def test_billion_laughs(format: str) -> None:
    laughs = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
    data = _with_prolog(FORMATS[format], f'<!DOCTYPE feed [<!ENTITY l0 "ha">{laughs}]>')
    data = data.replace(b"<value>", b"<value>&l9;")
    tracemalloc.start()
    assert "DOCTYPE" in _refusal(data, format)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * 1024 * 1024


@either
@pytest.mark.parametrize("kind", ["SYSTEM", 'PUBLIC "x"'])
def test_external_entity(format: str, kind: str, tmp_path: Any) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    data = _with_prolog(FORMATS[format], f'<!DOCTYPE feed [<!ENTITY x {kind} "{secret.as_uri()}">]>')
    message = _refusal(data.replace(b"<value>", b"<value>&x;"), format)
    assert "DOCTYPE" in message
    assert SECRET not in message


@either
def test_doctype_without_entities_that_names_another_host(format: str) -> None:
    assert "DOCTYPE" in _refusal(
        _with_prolog(FORMATS[format], '<!DOCTYPE a SYSTEM "http://127.0.0.1:1/">'), format
    )


@either
def test_doctype_cut_by_a_window(format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = _with_prolog(FORMATS[format], f"<!--{'-' * 0}{'x' * 40}--><!DOCTYPE a [<!ENTITY b 'c'>]>")
    for window in range(60, 140, 3):
        monkeypatch.setattr(stream, "WINDOW", window)
        assert "DOCTYPE" in _refusal(data, format)


@either
def test_the_word_doctype_in_a_comment_is_a_comment(format: str) -> None:
    data = _with_prolog(FORMATS[format], "<!-- <!DOCTYPE a> -->")
    _, result = decoded(data, format, {})
    assert result.quarantined == 0


def test_xinclude_is_an_element_like_any_other(tmp_path: Any) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    include = f'<i:include xmlns:i="http://www.w3.org/2001/XInclude" href="{secret.as_uri()}" parse="text"/>'
    data = WHOLE.replace(b"<title/>", f"<title>{include}</title>".encode())
    sink, result = decoded(data.replace(b"<UsagePoint ", f"{include}<UsagePoint ".encode()), "espi", {})
    assert result.reasons == {"unknown_resource": 1}
    assert SECRET not in str([sink.rejects, sink.rows("interval_reads")])


@either
def test_depth_beyond_all_measure(format: str) -> None:
    deep = "<a>" * 100_000
    assert "64 deep" in _refusal(FORMATS[format].replace(b"<value>", f"<value>{deep}".encode(), 1), format)


@either
@pytest.mark.parametrize("place", ["attribute", "text", "comment"])
def test_bytes_without_end(format: str, place: str) -> None:
    long = "x" * (stream.MAX_SPAN + 3 * stream.WINDOW)
    inserted = {"attribute": f'<y z="{long}"/>', "text": long, "comment": f"<!--{long}-->"}[place]
    data = FORMATS[format].replace(b"<value>", f"<value>{inserted}".encode(), 1)
    assert "bytes without a tag" in _refusal(data, format)


@either
def test_bytes_that_are_no_utf8(format: str) -> None:
    assert "not one whole XML document" in _refusal(
        FORMATS[format].replace(b"<value>", b"<value>\xc3\x28", 1), format
    )


@either
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_wide_encodings_are_refused_in_words(format: str, encoding: str) -> None:
    assert "convert it to UTF-8" in _refusal(FORMATS[format].decode().encode(encoding), format)


@either
@pytest.mark.parametrize("encoding", ["utf-7", "cp037", "shift_jis", "no-such-thing"])
def test_other_encodings_are_refused_in_words(format: str, encoding: str) -> None:
    data = re.sub(rb"<\?xml[^>]*>", f'<?xml version="1.0" encoding="{encoding}"?>'.encode(), FORMATS[format])
    assert "convert the file to UTF-8" in _refusal(data, format)


@pytest.mark.parametrize(
    ("encoding", "mark"), [("iso-8859-1", b""), ("windows-1252", b""), ("utf-8", b"\xef\xbb\xbf")]
)
def test_encodings_that_are_read(encoding: str, mark: bytes) -> None:
    text = WHOLE.decode().replace("<title/>", "<title>Café</title>").replace("UTF-8", encoding)
    _, result = decoded(mark + text.encode(encoding), "espi", {})
    assert result.quarantined == 0


@either
def test_truncated_anywhere(format: str) -> None:
    data = FORMATS[format].rstrip()
    for size in range(0, len(data) - 1, 37):
        _refusal(data[:size], format)


@either
def test_two_documents(format: str) -> None:
    data = FORMATS[format]
    assert "not one whole XML document" in _refusal(data + data, format)
    assert "not one whole XML document" in _refusal(data + re.sub(rb"<\?xml[^>]*>", b"", data), format)


@either
@pytest.mark.parametrize("data", [b"", b" \n", b"<", b"no xml at all", b"<a/>", b"\x00" * 100, b"PK\x03\x04"])
def test_what_is_nothing_of_the_kind(format: str, data: bytes) -> None:
    _refusal(data, format)


class _Pipe(io.RawIOBase):
    """A stream that cannot seek, as a member of an archive, and gives a few bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self._data.read(min(len(buffer), 1000))
        buffer[: len(part)] = part
        return len(part)


def test_rejects_of_a_stream_that_cannot_seek_carry_their_bytes() -> None:
    data = x.simple(x.block(x.readings([1, 2]) + x.reading(x.START + 1800, "many")))
    sink = MemorySink()
    decode(cast(BinaryIO, io.BufferedReader(_Pipe(data))), "espi", {}, sink)
    (reject,) = sink.rejects
    assert reject.raw == x.reading(x.START + 1800, "many").encode()
    assert data[reject.byte_offset :].startswith(reject.raw)


def _everything(data: bytes, settings: dict[str, Any]) -> Any:
    """All that a decoding gives, in the order of the records, or that it was refused."""
    sink = MemorySink()
    try:
        result = decode(io.BytesIO(data), "espi", settings, sink)
    except GridCRMError:
        return None
    tables = {name: sorted(sink.rows(name), key=str) for name in sink.batches}
    return tables, sorted(sink.rejects, key=lambda one: (one.record_no, one.rule)), result.records_by_type


def _by_the_parser_alone(data: bytes, settings: dict[str, Any]) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        read = stream.read_xml
        patch.setattr(espi_decoder, "read_xml", lambda *args, runs: read(*args))
        return _everything(data, settings)


@pytest.mark.parametrize(
    "seed", [SMALL, WHOLE, PREFIXED, COMMENTED], ids=["small", "whole", "prefixed", "comments"]
)
def test_a_run_is_what_the_parser_would_have_said(seed: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    take = espi_decoder.Feed.take
    monkeypatch.setattr(
        espi_decoder.Feed, "take", lambda self, run: (taken.append(run.count), take(self, run))
    )
    assert _everything(seed, {}) == _by_the_parser_alone(seed, {}) is not None
    assert sum(taken) >= 2


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_runs_and_the_parser_agree_on_damaged_files(data: st.DataObject) -> None:
    case = cases("espi")[data.draw(st.integers(0, 1))]
    damaged = data.draw(mutated(case))
    with_runs = _everything(damaged, dict(case.settings))
    assert with_runs == _by_the_parser_alone(damaged, dict(case.settings))


@pytest.mark.parametrize("seed", [WHOLE, PREFIXED, COMMENTED], ids=["whole", "prefixed", "comments"])
def test_where_windows_end_makes_no_difference(seed: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _everything(seed, {})
    assert whole is not None
    for window in [*range(40, 700, 7), 2000]:
        monkeypatch.setattr(stream, "WINDOW", window)
        assert _everything(seed, {}) == whole


@pytest.mark.parametrize(
    ("trap", "read"),
    [
        pytest.param("<!-- {} -->", 2, id="comment"),
        pytest.param("<![CDATA[ {} ]]>", 2, id="cdata"),
        pytest.param("<?x {} ?>", 2, id="instruction"),
        pytest.param('<x xmlns="urn:another">{}</x>', 2, id="namespace"),
        pytest.param("<!-- > -->{}", 4, id="comment before"),
        pytest.param("text {}", 4, id="text before"),
        pytest.param("<![CDATA[ <!-- ]]>{}<![CDATA[ --> ]]>", 4, id="comment signs in cdata"),
        pytest.param("<!-- é -->{}<!-- a - b -->", 4, id="comments around"),
    ],
)
def test_readings_that_only_look_like_a_run(trap: str, read: int) -> None:
    data = x.simple(x.block(x.readings([1, 2]) + trap.format(x.readings([7, 8], start=x.START + 1800))))
    found = _everything(data, {})
    assert found == _by_the_parser_alone(data, {})
    assert len(found[0]["interval_reads"]) == read


@pytest.mark.parametrize(
    "inner",
    [
        "<value><b>1</b></value>",
        "<value>1<value>2</value></value>",
        "<value>1</value><value>2</value>",
        "<value>1</value><UsagePoint>1</UsagePoint>",
        "<value>1</value><tou>1</tou>",
        "<value>1-2</value>",
        "<value> 1</value>",
        "<value> </value>",
        "<value>1</value>2",
        "<timePeriod>1</timePeriod><value>1</value>",
        "<val1ue>1</val1ue>",
        "<value>1</val-ue>",
        "<value>1<!-- 2 --></value>",
        "<value>1<!-- 2 -->3</value>",
        "<value>1</value><!-- a - b -->",
        "<value>1</value><!-- a -- b -->",
        "<value>1</value><!-- \x01 -->",
        "<value<!-- -->>1</value>",
        "<value>1</value><![CDATA[ <!-- ]]>",
    ],
)
def test_shapes_of_readings_mean_what_the_parser_says(inner: str) -> None:
    period = f"<timePeriod><duration>900</duration><start>{x.START + 1800}</start></timePeriod>"
    odd = f"<IntervalReading>{period}{inner}</IntervalReading>"
    data = x.simple(x.block(x.readings([1, 2]) + odd + x.readings([3], start=x.START + 2700)))
    assert _everything(data, {}) == _by_the_parser_alone(data, {})


def test_readings_of_many_shapes_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    content = "".join(
        x.reading(x.START + i * 900, i, cost=i if i % 3 else None, quality="8" if i % 5 == 0 else "")
        + ("<!-- noon -->" if i % 48 == 0 else "\n")
        for i in range(200)
    )
    data = x.simple(x.block(content))
    taken = []
    take = espi_decoder.Feed.take
    monkeypatch.setattr(
        espi_decoder.Feed, "take", lambda self, run: (taken.append(run.count), take(self, run))
    )
    found = _everything(data, {})
    assert sum(taken) >= 180
    assert found == _by_the_parser_alone(data, {})
    assert len(found[0]["interval_reads"]) == 200
