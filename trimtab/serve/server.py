"""Running the API under uvicorn, from a bound socket to the last answer."""

import ipaddress
import socket

import uvicorn

from steering.errors import SteeringError
from trimtab.serve.api import Api
from trimtab.serve.worker import Worker

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


def run(
    worker: Worker, listener: socket.socket, name: str, api_key: str | None = None, shutdown_seconds: int = 30
) -> None:
    """Serve until SIGINT or SIGTERM. Answers under way may then take `shutdown_seconds` to end; no new ones begin."""
    guarded = api_key is None and is_loopback(listener.getsockname()[0])
    api = Api(worker, name, api_key, LOOPBACK_HOSTS if guarded else None)
    # Clients keep idle connections for as long as uvicorn's default: it must not be the server that closes them first.
    config = uvicorn.Config(
        api.app(), timeout_graceful_shutdown=shutdown_seconds, timeout_keep_alive=60, server_header=False
    )
    uvicorn.Server(config).run(sockets=[listener])
