"""Who may ask the studio, and how much they may send: decided before anything of a request's body is read.

On a shared machine every user reaches a port on loopback, and so does every site that the owner's browser opens. What
only the owner has is the token in the link that `trimtab studio` prints. The page sends it in a header: unlike a
cookie, which the browser gives to every port of this machine, no other server gets to see that.
"""

from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trimtab.serve.http import check_content_type, check_origin, is_bearer, too_large
from trimtab.studio.files import MAX_FILE_BYTES

BODIES = {"POST": ("application/json", 4_000_000), "PUT": ("application/octet-stream", MAX_FILE_BYTES)}
"""By method: the type of a body, and its bytes at most."""

HANG_UP = {"Connection": "close"}
"""To strangers. To the owner, whose body is too large, a browser shows our sentence only once it has sent all of it."""


class Guard:
    """An application that is only reached with the token, from the studio's own page or from no page at all."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or hand it on with no more of its body than may come."""
        request = Request(scope)
        try:
            self._check_sender(request)
            limit = _check_body(request)
        except HTTPException as refused:
            headers = HANG_UP if refused.status_code == 403 else None
            await JSONResponse({"error": refused.detail}, refused.status_code, headers)(scope, receive, send)
        else:
            await self._app(scope, _bounded(receive, limit), send)

    def _check_sender(self, request: Request) -> None:
        if not is_bearer(request, self._token):
            sentence = "The studio's token is missing or wrong; open the link that trimtab studio printed at its start."
            raise HTTPException(403, sentence)
        check_origin(request)


def _check_body(request: Request) -> int:
    """How many bytes may come. Raises HTTPException for those that are announced wrongly or too many."""
    if request.method not in BODIES:
        return 0
    content_type, limit = BODIES[request.method]
    check_content_type(request, content_type)
    if int(request.headers.get("content-length", 0)) > limit:
        raise too_large(limit)
    return limit


def _bounded(receive: Receive, limit: int) -> Receive:
    """Receives no more than `limit` bytes of a body, whatever was announced."""
    left = limit

    async def receive_some() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise too_large(limit)
        return message

    return receive_some
