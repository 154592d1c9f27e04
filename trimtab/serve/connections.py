"""How many connections a server keeps, and how long each may take over a request.

uvicorn bounds neither by itself: clients that send nothing, or a byte a minute, would stay for ever, and with as many
as the process may open files nobody else could connect.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

LINGERING_SECONDS = 1.0
"""Time for a client that is turned away to read why: closed at once, what it has sent would reset the connection."""


@dataclass
class Connections:
    """Bounds on the connections of one server, and those that are being turned away."""

    served: int = 512
    """More are answered with 503."""
    lingering: int = 256
    """Those that are told so at a time; more are closed without a word."""
    accepted_at_once: int = 64
    """Before any of them is looked at."""
    header_seconds: float = 10.0
    body_seconds: float = 60.0
    send_seconds: float = 60.0
    """For a client that doesn't read its answer."""
    turned_away: set["LimitedProtocol"] = field(default_factory=set)

    @classmethod
    def of_process(cls) -> "Connections":
        """As many as the process may open files: half for clients that are served, the rest for others, and files."""
        if sys.platform == "win32":
            return cls()
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        opened = len(os.listdir("/dev/fd"))
        quarter = cls.lingering if soft == resource.RLIM_INFINITY else min((soft - opened) // 4, cls.lingering)
        return cls(max(2 * quarter, 1), max(quarter, 1), max(quarter // 4, 1))

    @property
    def protocol(self) -> type[asyncio.Protocol]:
        """For uvicorn's `http`."""
        return cast(type[asyncio.Protocol], partial(LimitedProtocol, self))


class LimitedProtocol(H11Protocol):
    """uvicorn's connection, within bounds."""

    def __init__(self, limits: Connections, **options: Any) -> None:
        super().__init__(**options)
        self._limits = limits
        self._phase: Literal["headers", "body", "turned away"] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._send_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Serve it, or say that there are too many."""
        super().connection_made(transport)
        limits = self._limits
        if len(self.connections) <= limits.served:
            return self._enter("headers", limits.header_seconds, self._is_late)
        self.connections.discard(self)
        if len(limits.turned_away) >= limits.lingering:
            return transport.abort()
        limits.turned_away.add(self)
        self._answer(503, "Too many connections are open; try again in a moment.")
        self._enter("turned away", LINGERING_SECONDS, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Take what a client sends, as long as it is in time."""
        if self._phase == "turned away":
            return
        super().data_received(data)
        if self.conn.their_state is h11.SEND_BODY:
            self._enter("body", self._limits.body_seconds, self._is_late)
        elif self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self._enter("headers", self._limits.header_seconds, self._is_late)
        else:
            self._leave()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._leave()
        self.resume_writing()
        self._limits.turned_away.discard(self)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client doesn't read as fast as it is written to."""
        super().pause_writing()
        self._send_timer = self.loop.call_later(self._limits.send_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """It has caught up."""
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None
        super().resume_writing()

    def _enter(self, phase: Literal["headers", "body", "turned away"], seconds: float, end: Callable[[], None]) -> None:
        """Begin a phase, or go on with it: its time doesn't begin anew with every byte."""
        if phase != self._phase:
            self._leave()
            self._phase, self._timer = phase, self.loop.call_later(seconds, end)

    def _leave(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._phase = self._timer = None

    def _is_late(self) -> None:
        answered = self._phase == "body" and self.cycle.response_started
        if not answered:
            self._answer(408, f"The request's {self._phase} didn't come in time; send it at once.")
        self.transport.close()

    def _answer(self, status: Literal[408, 503], sentence: str) -> None:
        """Write past uvicorn: the connection ends with it."""
        phrase = {408: "Request Timeout", 503: "Service Unavailable"}[status]
        head = f"HTTP/1.1 {status} {phrase}\r\nContent-Type: text/plain\r\nContent-Length: {len(sentence)}\r\n"
        self.transport.write(f"{head}Retry-After: 1\r\nConnection: close\r\n\r\n{sentence}".encode())
        self.transport.write_eof()
