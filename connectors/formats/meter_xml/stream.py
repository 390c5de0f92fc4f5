"""XML of any size, read once from front to back, with nothing in it believed.

Belongs here: the parser, its limits, byte offsets, and reading a record's bytes again for quarantine. Does
not belong here: what an element means; a format's handler says that.

The parser is expat rather than lxml's ``iterparse``, because expat says at which byte an element begins,
which a reject must carry, and builds no tree that would have to be cleared. Safe means here:

- a DOCTYPE refuses the file before a byte behind its name is looked at, so there are no entities of a file's
  own, internal or external, and nothing is ever fetched; XInclude is an element like any other
- depth, and the bytes from one tag to the next (text, attributes, comments), have limits
- the encoding, declared or implied, is one in which markup is ASCII (UTF-8, ISO-8859-1, Windows-1252)
- what is not well-formed, a truncated or a second document included, refuses the file

Elements that repeat in one shape may be taken many at a time (``runs``): the parser reads all that is
around them, so that a run is only taken where the parser stands in the element that holds them.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, Protocol, cast
from xml.parsers import expat

from connectors.formats.base import RefusedFile, read_exactly
from connectors.formats.meter_xml.runs import COMMENT, Run, RunFinder, RunsOf

WINDOW = 1024 * 1024
MAX_DEPTH = 64
MAX_SPAN = 8 * 1024 * 1024
"""Most bytes from one tag to the next: a text, an attribute or a comment that is longer refuses the file."""
MAX_RAW = 64 * 1024
"""Most bytes of one record that quarantine keeps."""
_SHORT = 2048
_ENCODINGS = {"utf-8": "utf-8", "utf8": "utf-8", "us-ascii": "us-ascii", "ascii": "us-ascii",
              "iso-8859-1": "iso-8859-1", "latin-1": "iso-8859-1", "windows-1252": "windows-1252",
              "cp1252": "windows-1252"}  # fmt: skip
_WIDE = (b"\xfe\xff", b"\xff\xfe", b"\x00<", b"<\x00", b"\x00\x00")
_DECLARED = re.compile(rb"^\s*<\?xml[^>]*?\sencoding\s*=\s*[\"']([^\"'>]*)[\"']")
_DOCTYPE_HEAD = re.compile(rb"[\[>]")
# What may lie between the last tag the parser told of and a run: that tag itself, blanks and comments.
_PLAIN = re.compile(rb"(?:<[^<>!?]*>)?(?:[ \t\r\n]|" + COMMENT + rb")*")
_MOST_PATIENCE = 256
_LONG_TAIL = 64 * 1024
_MAX_NAMES = 10_000
Attributes = Mapping[str, str]
Where = Callable[[], int]


class XmlHandler(Protocol):
    """What a format does with elements; tags are as its ``tag_of`` made them."""

    stack: list[str]
    """The tags of the open elements, kept by the parser; in ``end`` without the one that ends."""

    def start(self, tag: str, attributes: Attributes, where: Where) -> None:
        """An element begins; ``where()`` is the byte of the file at which it does."""
        ...

    def end(self, tag: str, text: str | None) -> None:
        """An element ends; ``text`` is its text, None where it has children."""
        ...

    def take(self, run: Run) -> None:
        """Elements of one shape that follow each other; neither start nor end is called for them."""
        ...


class Source:
    """The bytes of a file: read forwards once, and small parts again for quarantine.

    A stream that cannot seek (a member of an archive) is kept in a temporary file while it is read.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._copy: BinaryIO | None = None
        self._base = 0
        if stream.seekable():
            self._base = stream.tell()
        else:
            self._copy = cast(BinaryIO, tempfile.SpooledTemporaryFile(32 * WINDOW))  # noqa: SIM115 - closed with this

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *error: object) -> None:
        if self._copy is not None:
            self._copy.close()

    def read(self, size: int) -> bytes:
        """The next bytes."""
        data = read_exactly(self._stream, size)
        if self._copy is not None:
            self._copy.write(data)
        return data

    def element(self, offset: int, before: bytes = b"") -> bytes:
        """The bytes of the element that begins at ``offset``, at most ``MAX_RAW`` of them.

        With ``before``, only those before the first element of that local name.
        """
        again = self._stream if self._copy is None else self._copy
        for size in (_SHORT, MAX_RAW):
            again.seek(self._base + offset)
            data = read_exactly(again, size)
            name = re.match(rb"<[^\s/>]+", data)
            if name is None:
                return data[:1]
            closing = re.search(rb"</" + re.escape(name[0][1:]) + rb"\s*>", data)
            if closing:
                break
        tag_end = data.find(b">")
        if data[tag_end - 1 : tag_end] == b"/":
            return data[: tag_end + 1]
        whole = data[: closing.end()] if closing else data
        if before:
            child = re.search(rb"<(?:[^\s<>/:]+:)?" + before + rb"[\s/>]", whole)
            whole = whole[: child.start()] if child else whole
        return whole


def read_xml(
    source: Source,
    name: str,
    handler: XmlHandler,
    tag_of: Callable[[str, str], str],
    *,
    runs: RunsOf | None = None,
) -> None:
    """Parse the whole of ``source`` into calls of ``handler``.

    ``tag_of`` makes the tag from namespace and local name; those of ``runs`` must be their local names.
    Raises :class:`RefusedFile` for everything that is not one whole, well-formed, harmless document.
    """
    _Reader(source, name, handler, tag_of, runs).read()


class _Reader:
    """One document; see :func:`read_xml`."""

    def __init__(
        self,
        source: Source,
        name: str,
        handler: XmlHandler,
        tag_of: Callable[[str, str], str],
        runs: RunsOf | None,
    ) -> None:
        self._source = source
        self._name = name
        self._handler = handler
        self._tag_of = tag_of
        self._open = handler.stack
        self._finder = RunFinder(runs) if runs else None
        self._holder = runs.holder if runs else ""
        self._names: dict[str, tuple[str, bytes]] = {}
        self._prefix: list[bytes] = []
        self._pieces: list[str] = []
        self._is_leaf = False
        self._seen_root = False
        self._moved = False
        self._fed = 0
        self._skipped = 0
        self._silent_from = 0
        self._last = 0
        self._tail = b""
        self._patience = 1

    def read(self) -> None:
        """Window by window, each cut before a tag, so that no tag is ever fed in two parts."""
        data = self._source.read(WINDOW)
        if not data.strip():
            raise RefusedFile(f"{self._name}: is empty")
        self._parser = self._new_parser(data)
        carry = b""
        while data:
            whole = carry + data
            cut = max(whole.rfind(b"<"), 0)
            self._window(whole[:cut])
            carry = whole[cut:]
            if self._moved:
                self._silent_from, self._moved = self._fed, False
            if self._fed + len(carry) - self._silent_from > MAX_SPAN:
                raise RefusedFile(
                    f"{self._name}: more than {MAX_SPAN} bytes without a tag, about byte {self._silent_from}"
                )
            data = self._source.read(WINDOW)
        self._window(carry)
        self._parse(b"", is_final=True)

    def _new_parser(self, head: bytes) -> Any:
        if head.startswith(_WIDE):
            raise RefusedFile(
                f"{self._name}: is UTF-16 or UTF-32, or no XML; convert it to UTF-8 and send it again"
            )
        declared = _DECLARED.match(head.removeprefix(b"\xef\xbb\xbf"))
        encoding = declared[1].decode("ascii", "replace").lower() if declared else "utf-8"
        if encoding not in _ENCODINGS:
            raise RefusedFile(
                f"{self._name}: declares an encoding that is not read here; convert the file to UTF-8"
            )
        parser = expat.ParserCreate(_ENCODINGS[encoding], " ")
        parser.buffer_text = True
        parser.namespace_prefixes = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._pieces.append
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        return parser

    def _window(self, data: bytes) -> None:
        """Feed one window, runs taken out of it."""
        at = 0
        if self._finder is not None:
            self._finder.look_at(data)
            while (place := self._finder.next(at)) is not None:
                self._feed(data[at:place])
                at = place
                run = self._run(place)
                if run is None:
                    # The parser takes some elements before the next attempt, more of them each time it fails.
                    stop = self._finder.behind(place, self._patience)
                    self._patience = min(2 * self._patience, _MOST_PATIENCE)
                    self._feed(data[at:stop])
                    at = stop
                    continue
                run.offsets += self._fed - place
                self._handler.take(run)
                self._patience = 1
                self._moved = True
                self._fed += run.end - at
                self._skipped += run.end - at
                self._last, self._tail = self._fed, b""
                at = run.end
        self._feed(data[at:])

    def _run(self, place: int) -> Run | None:
        """A run that begins here, where the parser stands in its holder."""
        if self._finder is None or self._open[-1:] != [self._holder] or not self._stands_plain():
            return None
        return self._finder.run(place, self._prefix[-1])

    def _stands_plain(self) -> bool:
        """Whether nothing but blanks and comments lies between the last tag and here: no CDATA, no text."""
        return _PLAIN.fullmatch(self._tail) is not None

    def _feed(self, data: bytes) -> None:
        if not data:
            return
        base, last = self._fed, self._last
        at = 0
        while not self._seen_root and (found := data.find(b"<!DOCTYPE", at)) >= 0:
            head = _DOCTYPE_HEAD.search(data, found)
            stop = head.end() if head else len(data)
            self._parse(data[at:stop])
            at = stop
        self._parse(data[at:])
        self._fed = base + len(data)
        # What came since the last tag: short, or it is nothing a run could follow on.
        self._tail = data[self._last - base :] if self._last != last else self._tail + data
        if len(self._tail) > _LONG_TAIL:
            self._tail = b"!"

    def _parse(self, data: bytes, *, is_final: bool = False) -> None:
        try:
            self._parser.Parse(data, is_final)
        except expat.ExpatError as error:
            place = self._parser.ErrorByteIndex + self._skipped
            what = expat.ErrorString(error.code)
            raise RefusedFile(
                f"{self._name}: is not one whole XML document: {what} at byte {place}; ask for it again"
            ) from None

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        tag, prefix = self._names.get(name) or self._learn(name)
        self._seen_root = self._moved = self._is_leaf = True
        self._pieces.clear()
        self._prefix.append(prefix)
        self._open.append(tag)
        if len(self._open) > MAX_DEPTH:
            raise RefusedFile(
                f"{self._name}: elements are more than {MAX_DEPTH} deep, about byte {self._fed}"
            )
        if tag == self._holder:
            self._last = self._where()
        self._handler.start(tag, attributes, self._where)

    def _end(self, _: str) -> None:
        pieces = self._pieces
        text = "".join(pieces) if self._is_leaf else None
        pieces.clear()
        self._is_leaf = False
        self._moved = True
        self._prefix.pop()
        tag = self._open.pop()
        if self._open and self._open[-1] == self._holder:
            # A run may follow on what ends directly in its holder.
            self._last = self._where()
        self._handler.end(tag, text)

    def _where(self) -> int:
        """The byte of the file at which the parser stands."""
        place: int = self._parser.CurrentByteIndex + self._skipped
        return place

    def _learn(self, name: str) -> tuple[str, bytes]:
        """Tag and prefix (with its colon) of a name as expat gives it: ``namespace local prefix``."""
        parts = name.split(" ")
        namespace, local = (parts[0], parts[1]) if len(parts) > 1 else ("", name)
        prefix = parts[2].encode() + b":" if len(parts) > 2 else b""
        if len(self._names) >= _MAX_NAMES:
            self._names.clear()
        return self._names.setdefault(name, (self._tag_of(namespace, local), prefix))

    def _refuse_doctype(self, *_: object) -> None:
        raise RefusedFile(f"{self._name}: has a DOCTYPE, which this file has no need of; it is not read")
