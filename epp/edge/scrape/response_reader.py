"""Reads the answers on one HTTP connection from pieces cut anywhere. No sockets in here.

llhttp, the parser of Node.js, takes the framing apart in C (the httptools package); what it leaves open is settled
here: how long heads and bodies may be, interim answers, and answers that end with the connection (RFC 9112 6.3).
"""

import msgspec
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

MOST_PAGE_BYTES = 4 * 1024 * 1024
MOST_HEAD_BYTES = 64 * 1024
MOST_WIRE_BYTES = 2 * MOST_PAGE_BYTES + MOST_HEAD_BYTES
"""of a whole answer: the sizes of chunks, and trailers, may be as long as the page itself"""
OK = 200
_FIRST_FINAL_STATUS = 200
_FRAMING = frozenset((b"content-length", b"transfer-encoding"))
_CONTENT_ENCODING = b"content-encoding"
_PLAIN = frozenset((b"", b"identity"))


class ResponseError(Exception):
    """The bytes are no answer, or not one that is taken; nothing more may be fed. The message is for the user."""


class Response(msgspec.Struct, frozen=True):
    """One answer."""

    status: int
    body: bytes
    """empty unless the status is 200"""
    keeps_connection: bool
    """whether another request may follow on the same connection"""


class ResponseReader:
    """`begin` before each request; then `feed` what comes, and `end` when the connection ends."""

    def __init__(self) -> None:
        self.has_head = False
        """the head of the answer has been read, so that somebody who speaks HTTP is there"""
        self.wire_bytes = 0
        """of the answer so far"""
        self._parser = HttpResponseParser(self)
        self._is_whole = False
        self._keeps_connection = False
        self._is_framed = False
        self._encoding = b""
        self._status = 0
        self._parts: list[bytes] = []
        self._body_bytes = 0

    def begin(self) -> None:
        """Another request is sent; its answer comes next."""
        self.has_head = self._is_whole = False
        self.wire_bytes = self._body_bytes = 0
        self._parts = []

    def feed(self, data: bytes) -> Response | None:
        """The answer when it is whole, or when its status says that there is no page; raises ResponseError."""
        self.wire_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as error:
            raise ResponseError("the server changes to another protocol") from error
        except HttpParserError as error:
            if not self._is_whole:
                raise ResponseError(f"not an HTTP answer: {error}") from error
            self._keeps_connection = False  # the answer is good, but something nobody asked for follows it
        if self._body_bytes > MOST_PAGE_BYTES:
            raise ResponseError(f"the page is longer than {MOST_PAGE_BYTES} bytes")
        if self._is_whole or (self.has_head and self._status != OK):
            return self._response()
        if not self.has_head and self.wire_bytes > MOST_HEAD_BYTES:
            raise ResponseError(f"the head of the answer is longer than {MOST_HEAD_BYTES} bytes")
        if self.wire_bytes > MOST_WIRE_BYTES:
            raise ResponseError(f"the answer takes more than {MOST_WIRE_BYTES} bytes")
        return None

    def end(self) -> Response:
        """The connection has ended, which is how some answers end; raises ResponseError where it cuts the answer."""
        if self.has_head and not self._is_framed:
            return self._response()
        where = "in the middle of its answer" if self.wire_bytes else "without an answer"
        raise ResponseError(f"the server closed the connection {where}")

    def _response(self) -> Response:
        if self._status == OK and self._encoding not in _PLAIN:
            encoding = self._encoding.decode("latin-1")
            raise ResponseError(f"the page is encoded as {encoding!r}, although it was asked for as it is")
        parts, self._parts = self._parts, []  # a thousand readers that each keep a page until the next one are 50 MiB
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        return Response(self._status, body, self._is_whole and self._keeps_connection)

    def on_message_begin(self) -> None:
        """For the parser. Raises when the answer is whole already: that stops the parser."""
        if self._is_whole:
            raise ResponseError("more than one answer to one request")
        self._is_framed = False
        self._encoding = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        """For the parser; trailers come here, too, and say nothing."""
        name = name.lower()
        if self.has_head:
            return
        if name in _FRAMING:
            self._is_framed = True
        elif name == _CONTENT_ENCODING:
            self._encoding = value.strip().lower()

    def on_headers_complete(self) -> None:
        """For the parser."""
        self._status = self._parser.get_status_code()
        self._keeps_connection = self._parser.should_keep_alive()
        self.has_head = self._status >= _FIRST_FINAL_STATUS

    def on_body(self, body: bytes) -> None:
        """For the parser."""
        if self._status == OK:
            self._parts.append(body)
            self._body_bytes += len(body)

    def on_message_complete(self) -> None:
        """For the parser; also at the end of an interim answer, which another one follows."""
        self._is_whole = self.has_head
