"""What `trimtab serve` and `trimtab studio` share: who may ask, how much they may send, what they hear of errors."""

import hmac
from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request

from steering.errors import SteeringError


def new_app(title: str, hosts: Collection[str] | None, **options: Any) -> FastAPI:
    """An application that answers to these host names alone, or to any; without pages that load scripts elsewhere."""
    app = FastAPI(title=title, docs_url=None, redoc_url=None, openapi_url=None, **options)
    if hosts is not None:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    return app


def check_content_type(request: Request, *accepted: str) -> None:
    """Raise a 415 for a body of another type.

    A page on another site can send neither JSON nor octets without asking the browser first, and the answer is no.
    """
    found = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if found not in accepted:
        raise HTTPException(415, f"Expected the content type {' or '.join(accepted)}, found {found!r}.")


def is_bearer(request: Request, key: str) -> bool:
    """Whether a request brings the key. How long that takes to see tells nothing of it."""
    given = request.headers.get("authorization", "").encode("latin-1")  # as servers decode headers
    return hmac.compare_digest(given, f"Bearer {key}".encode())


def check_origin(request: Request) -> None:
    """Raise a 403 for what a page from elsewhere asks: browsers say where a page is from, other clients say nothing."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise HTTPException(403, f"Expected no web page from elsewhere to ask, found one from {origin!r}.")


async def read_body(request: Request, limit: int) -> bytes:
    """What was sent, read no further than `limit` bytes: a 413 beyond."""
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > limit:
                raise too_large(limit)
    except ClientDisconnect as error:  # nobody hears it, but it is no failure of the server's either
        raise HTTPException(400, "The request ended before its body.") from error
    return bytes(body)


def too_large(limit: int) -> HTTPException:
    """The 413 for a body of more than `limit` bytes."""
    return HTTPException(413, f"Expected a body of {limit} bytes at most; send less.")


def status_and_sentence(error: Exception) -> tuple[int, str]:
    """What a client is told of an error; of mistakes that aren't its own, only their kind."""
    if isinstance(error, SteeringError):
        return 400, str(error)
    if isinstance(error, HTTPException):
        return error.status_code, error.detail
    return 500, f"The server failed on this request ({type(error).__name__}); its log says more."
