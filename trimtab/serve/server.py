"""Where a server listens, and who can reach it there."""

import ipaddress
import socket
from typing import Any

import uvicorn
from fastapi import FastAPI

from steering.errors import SteeringError

LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1", "[::1]")
"""What a browser on this machine calls it; a page that has another name point here is turned away."""


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
        return socket.create_server((host, port), family=family, backlog=1024)
    except (OSError, OverflowError) as error:
        raise SteeringError(f"Can't listen on {host} port {port}: {error}; choose another.") from error


def run(app: FastAPI, listener: socket.socket, **options: Any) -> None:
    """Serve with these options of uvicorn until SIGINT or SIGTERM."""
    uvicorn.Server(uvicorn.Config(app, server_header=False, **options)).run(sockets=[listener])
