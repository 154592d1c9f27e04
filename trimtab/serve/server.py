"""Where a server listens, and who can reach it there."""

import ipaddress
import socket
from typing import Any

import uvicorn
from fastapi import FastAPI

from steering.errors import SteeringError
from trimtab.serve.connections import Connections

LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1", "[::1]")
"""What a browser on this machine calls it; a page that has another name point here is turned away."""

BACKLOG = 1024
"""Clients that may wait to be accepted; the system tells those beyond to try again."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises SteeringError where it can't be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        raise SteeringError(f"Can't listen on {host} port {port}: {error}; choose another.") from error


def run(app: FastAPI, listener: socket.socket, **options: Any) -> None:
    """Serve with these options of uvicorn until SIGINT or SIGTERM."""
    Server(app, Connections.of_process(), **options).run(sockets=[listener])


class Server(uvicorn.Server):
    """uvicorn's server with bounds on its connections; without websockets, which would have none.

    Args:
        app: what it serves.
        connections: the bounds.
        options: of uvicorn.
    """

    def __init__(self, app: FastAPI, connections: Connections, **options: Any) -> None:
        http, at_once = connections.protocol, connections.accepted_at_once
        super().__init__(uvicorn.Config(app, server_header=False, http=http, ws="none", backlog=at_once, **options))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does; but more clients may wait to be accepted than are accepted at once."""
        await super().startup(sockets)
        for listener in sockets or []:
            listener.listen(BACKLOG)
