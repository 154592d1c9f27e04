"""The HTTP side of the studio: the page's files, what it asks, and every error as one sentence."""

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import anyio
from anyio.to_thread import run_sync
from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from steering import LanguageModel
from steering.errors import SteeringError
from steering.models.reasoning import split_reasoning
from trimtab.builtin_sliders import shipped_axes
from trimtab.serve.http import check_content_type, new_app, read_body, status_and_sentence
from trimtab.studio import requests
from trimtab.studio.session import Session, check_axis_name, report_page, uploaded
from trimtab.studio.slider_view import PLOTS, plot

logger = logging.getLogger(__name__)
T = TypeVar("T")

HEADERS = {
    # Inline styles are the colors of tokens and of a report's plots; there are no inline scripts.
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Studio:
    """The endpoints over one session. Whatever uses the model waits for its turn, in order."""

    def __init__(
        self, session: Session, load: Callable[[str], LanguageModel], hosts: Collection[str] | None = None
    ) -> None:
        self._session = session
        self._load = load
        self._hosts = hosts
        self._turn = asyncio.Lock()
        self._drawing = asyncio.Lock()  # matplotlib's pyplot isn't made for several threads

    def app(self) -> FastAPI:
        """The application. `hosts` are the names that it answers to; None for any."""
        app = new_app("trimtab studio", self._hosts)
        app.add_middleware(_with_headers)
        asked: dict[str, tuple[str, Callable[..., Awaitable[Response]]]] = {
            "/state": ("GET", self._state),
            "/plots/{axis}/{kind}.svg": ("GET", self._plot),
            "/vectors/{axis}.safetensors": ("GET", self._vector_file),
            "/answers": ("POST", self._answers),
            "/gates": ("POST", self._gates),
            "/tokens": ("POST", self._tokens),
            "/export": ("POST", self._export),
            "/refusals": ("POST", self._refusals),
            "/model": ("POST", self._use_model),
            "/extract/{axis}": ("POST", self._extract),
            "/vectors": ("POST", self._add_vector),
            "/vectors/{axis}": ("PUT", self._upload_vector),
            "/report": ("POST", self._report),
            "/report/upload": ("PUT", self._upload_report),
        }
        for path, (method, endpoint) in asked.items():
            dependencies = [] if method == "GET" else [Depends(_check_type)]
            app.add_api_route(path, endpoint, methods=[method], dependencies=dependencies, response_model=None)
        app.mount("/", StaticFiles(directory=str(resources.files("trimtab.studio") / "page"), html=True))
        for kind in (Exception, OSError, SteeringError, HTTPException, RequestValidationError):
            app.add_exception_handler(kind, _refuse)
        return app

    async def _state(self) -> Response:
        return JSONResponse(self._session.summary())

    async def _plot(self, axis: str, kind: str) -> Response:
        if kind not in PLOTS:
            raise HTTPException(404, f"There is no plot {kind!r}.")
        async with self._drawing:
            drawn = await run_sync(plot, axis, self._session.axis(axis), kind)
        return Response(drawn, media_type="image/svg+xml")

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

    async def _tokens(self, asked: requests.Tokens) -> Response:
        return JSONResponse(await self._in_turn(self._session.tokens, asked.chat, asked.setting, asked.axis))

    async def _export(self, asked: requests.Export) -> Response:
        return _download(*await run_sync(self._session.export, asked.to, asked.setting))

    async def _refusals(self, asked: requests.Setting) -> Response:
        return JSONResponse(await run_sync(self._session.refusals, asked.setting))

    async def _use_model(self, asked: requests.Model) -> Response:
        def use() -> None:
            lm = self._load(asked.name)
            self._session.use(lm, shipped_axes(lm))

        return await self._changed(use)

    async def _extract(self, axis: str) -> Response:
        return await self._changed(self._session.add_builtin, axis)

    async def _add_vector(self, asked: requests.VectorFile) -> Response:
        return await self._changed(self._session.add_file, asked.axis, Path(os.path.expanduser(asked.path)))

    async def _upload_vector(self, axis: str, request: Request) -> Response:
        check_axis_name(axis)
        with uploaded(await read_body(request, requests.MAX_BODY_BYTES), f"{axis}.safetensors") as path:
            return await self._changed(self._session.add_file, axis, path)

    async def _report(self, asked: requests.ReportFile) -> Response:
        return await self._report_page(Path(os.path.expanduser(asked.path)))

    async def _upload_report(self, request: Request) -> Response:
        with uploaded(await read_body(request, requests.MAX_BODY_BYTES), "report.json") as path:
            return await self._report_page(path)

    async def _report_page(self, path: Path) -> Response:
        async with self._drawing:
            return HTMLResponse(await run_sync(report_page, path))

    async def _in_turn(self, work: Callable[..., T], *arguments: Any) -> T:
        async with self._turn:
            return await run_sync(work, *arguments)

    async def _changed(self, change: Callable[..., None], *arguments: Any) -> Response:
        await self._in_turn(change, *arguments)
        return await self._state()


async def _check_type(request: Request) -> None:
    check_content_type(request, "application/json", "application/octet-stream")


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
    disposition = f'attachment; filename="{name}"'
    return Response(content, media_type="application/octet-stream", headers={"Content-Disposition": disposition})
