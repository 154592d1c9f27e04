"""The HTTP side of the studio: the page's files, what it asks, and every error as one sentence."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import AbstractContextManager
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import anyio
from anyio.to_thread import run_sync
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from steering import LanguageModel
from steering.errors import SteeringError
from steering.models.reasoning import split_reasoning
from steering.recipes.balanced_pair import pair_at_hand
from trimtab.serve.http import new_app, status_and_sentence
from trimtab.studio import requests
from trimtab.studio.files import check_model, opened, uploaded
from trimtab.studio.guard import Guard
from trimtab.studio.session import Session, check_axis_name, report_page

logger = logging.getLogger(__name__)
T = TypeVar("T")

HEADERS = {
    # Inline styles are the colors of tokens and of a report's plots; there are no inline scripts.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; connect-src 'self'; "
    "style-src 'self' 'unsafe-inline'; img-src data: blob:; frame-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Studio:
    """The endpoints over one session. Whatever uses the model waits for its turn, in order."""

    def __init__(
        self,
        session: Session,
        load: Callable[[str], LanguageModel],
        token: str,
        hosts: Collection[str] | None = None,
    ) -> None:
        self._session = session
        self._load = load
        self._token = token
        self._hosts = hosts
        self._turn = asyncio.Lock()

    def app(self) -> FastAPI:
        """The application: the page for everybody, all else under `/api` with the token.

        It answers to the names `hosts`; None for any.
        """
        app = new_app("trimtab studio", self._hosts)
        app.add_middleware(_with_headers)
        app.mount("/api", Guard(self._api(), self._token))
        app.mount("/", StaticFiles(directory=str(resources.files("trimtab.studio") / "page"), html=True))
        return app

    def _api(self) -> FastAPI:
        api = new_app("trimtab studio", None)
        asked: list[tuple[str, str, Callable[..., Awaitable[Response]]]] = [
            ("GET", "/state", self._state),
            ("GET", "/cards", self._cards),
            ("POST", "/answers", self._answers),
            ("POST", "/gates", self._gates),
            ("POST", "/scores", self._scores),
            ("POST", "/tokens", self._tokens),
            ("POST", "/export", self._export),
            ("POST", "/refusals", self._refusals),
            ("POST", "/model", self._use_model),
            ("POST", "/extract/{axis}", self._extract),
            ("GET", "/vectors", self._vector_file),
            ("POST", "/vectors", self._add_vector),
            ("PUT", "/vectors", self._upload_vector),
            ("POST", "/report", self._report),
            ("PUT", "/report", self._upload_report),
        ]
        for method, path, endpoint in asked:
            api.add_api_route(path, endpoint, methods=[method], response_model=None)
        for kind in (Exception, OSError, SteeringError, HTTPException, RequestValidationError):
            api.add_exception_handler(kind, _refuse)
        return api

    async def _state(self) -> Response:
        return JSONResponse(self._session.summary())

    async def _cards(self) -> Response:
        return JSONResponse(await run_sync(self._session.cards))

    async def _vector_file(self, axis: str) -> Response:
        return _download(f"{axis}.safetensors", await run_sync(self._session.vector_file, axis))

    async def _answers(self, asked: requests.Answers) -> Response:
        return StreamingResponse(self._written(asked), media_type="application/x-ndjson")

    async def _written(self, asked: requests.Answers) -> AsyncIterator[str]:
        """A line of JSON after every token, with answers and thoughts; they end when the page hangs up."""
        async with self._turn:
            try:
                answers = await run_sync(self._session.answers, asked.rows, asked.max_new_tokens)
                try:
                    while (texts := await run_sync(next, answers, None)) is not None:
                        parts = [(one.answer, one.reasoning) for one in map(split_reasoning, texts)]
                        yield json.dumps(dict(zip(("texts", "thoughts"), zip(*parts, strict=True), strict=True))) + "\n"
                finally:
                    with anyio.CancelScope(shield=True):
                        await run_sync(answers.close)  # type: ignore[attr-defined]
            except Exception as error:
                yield json.dumps({"error": _told(error)[1]}) + "\n"

    async def _gates(self, asked: requests.Asked) -> Response:
        return JSONResponse({"text": await self._in_turn(self._session.gates, asked.chat)})

    async def _scores(self, asked: requests.Row) -> Response:
        return JSONResponse(await self._in_turn(self._session.scores, asked.chat, asked.setting))

    async def _tokens(self, asked: requests.Tokens) -> Response:
        return JSONResponse(await self._in_turn(self._session.tokens, asked.chat, asked.setting, asked.axis))

    async def _export(self, asked: requests.Export) -> Response:
        return _download(*await run_sync(self._session.export, asked.to, asked.setting))

    async def _refusals(self, asked: requests.Setting) -> Response:
        return JSONResponse(await run_sync(self._session.refusals, asked.setting))

    async def _use_model(self, asked: requests.Model) -> Response:
        def use() -> None:
            check_model(asked.name)
            lm = self._load(asked.name)
            self._session.use(lm, pair_at_hand(lm))

        return await self._changed(use)

    async def _extract(self, axis: str) -> Response:
        return await self._changed(self._session.add_builtin, axis)

    async def _add_vector(self, asked: requests.VectorFile) -> Response:
        return await self._added(asked.axis, opened(asked.path))

    async def _upload_vector(self, axis: str, request: Request) -> Response:
        return await self._added(axis, uploaded(await request.body(), f"{axis}.safetensors"))

    async def _added(self, axis: str, content: AbstractContextManager[Path]) -> Response:
        check_axis_name(axis)

        def add() -> None:
            with content as path:
                self._session.add_file(axis, path)

        return await self._changed(add)

    async def _report(self, asked: requests.ReportFile) -> Response:
        return await self._report_page(opened(asked.path))

    async def _upload_report(self, request: Request) -> Response:
        return await self._report_page(uploaded(await request.body(), "report.json"))

    async def _report_page(self, content: AbstractContextManager[Path]) -> Response:
        def page() -> str:
            with content as path:
                return report_page(path)

        return HTMLResponse(await run_sync(page))

    async def _in_turn(self, work: Callable[..., T], *arguments: Any) -> T:
        async with self._turn:
            return await run_sync(work, *arguments)

    async def _changed(self, change: Callable[..., None], *arguments: Any) -> Response:
        await self._in_turn(change, *arguments)
        return await self._state()


def _with_headers(app: ASGIApp) -> ASGIApp:
    """Adds `HEADERS` to every response, streamed ones too."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await app(scope, receive, send_with_headers)

    return run


async def _refuse(_: Request, error: Exception) -> Response:
    status, sentence = _told(error)
    return JSONResponse({"error": sentence}, status)


def _told(error: Exception) -> tuple[int, str]:
    """The status and sentence of an error."""
    if isinstance(error, RequestValidationError):
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        return 400, f"The studio can't use the request: {place}: {problem['msg'][0].lower()}{problem['msg'][1:]}."
    if isinstance(error, OSError):
        return 400, f"Can't read or write: {error}; check the path, its rights and the space left."
    status, sentence = status_and_sentence(error)
    if status == 500:
        logger.error("A request failed.", exc_info=error)
    return status, sentence


def _download(name: str, content: bytes) -> Response:
    disposition = (
        f"attachment; filename*=UTF-8''{quote(name, safe='')}"  # headers are Latin-1, names are not (RFC 5987)
    )
    return Response(content, media_type="application/octet-stream", headers={"Content-Disposition": disposition})
