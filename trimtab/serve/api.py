"""The HTTP side: OpenAI's chat completions with `steering` in the body, and `/v1/sliders`. It knows no tensors."""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.exceptions import HTTPException

from steering.data.chats import Chat
from steering.errors import SteeringError
from steering.models.reasoning import ReasoningStream
from steering.models.reasoning import Response as Written
from steering.vectors.slider import check_axes, check_reads_harm
from trimtab.profiles import Profile, profile_values
from trimtab.serve.answer import Answer, Decoding, Ending, Piece
from trimtab.serve.answer_text import AnswerText
from trimtab.serve.chat_request import ChatRequest, FiniteValues, parse_request, parse_slider_values
from trimtab.serve.http import check_content_type, check_origin, is_bearer, new_app, read_body
from trimtab.serve.openai_objects import ApiError, Reply, event, refusal, refuse
from trimtab.serve.watch import Seen, Watch, together
from trimtab.serve.worker import Worker

TOO_LONG = "context_length_exceeded"


class Api:
    """The endpoints over one worker; `app()` is what an ASGI server runs."""

    def __init__(
        self,
        worker: Worker,
        name: str,
        profiles: Mapping[str, Profile],
        api_key: str | None = None,
        hosts: Collection[str] | None = None,
    ) -> None:
        self._worker = worker
        self._name = name
        self._profiles = profiles
        self._key = api_key
        self._hosts = hosts
        self._created = int(time.time())
        self._defaults = dict.fromkeys(worker.sliders.axes, 0.0)
        self._watchers: set[asyncio.Task[None]] = set()

    def app(self) -> FastAPI:
        """The application. It starts the worker and, at the end, stops it."""

        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            self._worker.lm.tokenize("warm up")  # some tokenizers change themselves on first use: not while others read
            with self._worker:
                yield

        app = new_app("trimtab serve", self._hosts, lifespan=lifespan)
        guarded = [Depends(self._authorize)]
        app.add_api_route("/health", self._health, methods=["GET"])
        app.add_api_route("/v1/models", self._models, methods=["GET"], dependencies=guarded)
        app.add_api_route("/v1/sliders", self._sliders, methods=["GET"], dependencies=guarded)
        app.add_api_route("/v1/sliders", self._set_sliders, methods=["PUT", "POST"], dependencies=guarded)
        app.add_api_route("/v1/profiles", self._list_profiles, methods=["GET"], dependencies=guarded)
        app.add_api_route("/v1/chat/completions", self._chat, methods=["POST"], dependencies=guarded)
        app.add_exception_handler(Exception, refuse)
        for kind in (SteeringError, HTTPException):
            app.add_exception_handler(kind, refuse)
        return app

    async def _authorize(self, request: Request) -> None:
        if self._key is None:
            return check_origin(request)
        if not is_bearer(request, self._key):
            sentence = "The API key is missing or wrong; send it as: Authorization: Bearer KEY."
            raise ApiError(401, sentence, "invalid_api_key", {"WWW-Authenticate": "Bearer"})

    async def _health(self) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    async def _models(self) -> JSONResponse:
        model = {"id": self._name, "object": "model", "created": self._created, "owned_by": "trimtab"}
        return JSONResponse({"object": "list", "data": [model]})

    async def _sliders(self) -> JSONResponse:
        listed = []
        for name, slider in self._worker.sliders.items():
            known = {"name": name, "title": slider.title, "range": slider.range}
            listed.append(known | {"calibrated": slider.calibration is not None, "default": self._defaults[name]})
        return JSONResponse({"object": "list", "data": listed})

    async def _set_sliders(self, request: Request) -> JSONResponse:
        self._defaults |= self._checked(parse_slider_values(await self._body(request)))
        return await self._sliders()

    async def _list_profiles(self) -> JSONResponse:
        listed = [{"name": name, **profile.model_dump()} for name, profile in self._profiles.items()]
        return JSONResponse({"object": "list", "data": listed})

    async def _chat(self, request: Request) -> Response:
        asked = parse_request(await self._body(request))
        if asked.model != self._name:
            raise ApiError(404, f"There is no model {asked.model!r} here, only {self._name!r}.", "model_not_found")
        steering = self._defaults | self._profile(asked.profile) | self._checked(asked.steering or {})
        if asked.harm is not None:
            check_reads_harm(self._worker.sliders.values())
        prompt = await asyncio.to_thread(self._tokens, tuple(turn.message for turn in asked.messages))
        loop, pieces = asyncio.get_running_loop(), asyncio.Queue[Piece]()

        def emit(piece: Piece) -> None:  # called in the worker's thread
            loop.call_soon_threadsafe(pieces.put_nowait, piece)

        text = AnswerText(self._worker.lm.tokenizer, asked.stop_strings)
        decoding, ends = self._decoding(asked, len(prompt)), self._worker.end_tokens
        answer = Answer(prompt, steering, decoding, text, ends, emit, asked.harm, self._watch(asked, len(prompt)))
        self._worker.submit(answer)
        watcher = asyncio.create_task(self._cancel_when_gone(request, answer))
        self._watchers.add(watcher)  # the loop itself keeps only weak references
        watcher.add_done_callback(self._watchers.discard)
        reply = Reply(self._name, steering, len(prompt))
        written = _responses(pieces, self._worker.lm.response_tokens.stream(prompt))
        if asked.stream:
            with_usage = bool(asked.stream_options and asked.stream_options.include_usage)
            events = _events(reply, answer, written, with_usage)
            return StreamingResponse(events, media_type="text/event-stream", headers={"Cache-Control": "no-cache"})
        parts = [part async for part in written]
        ending = _ending(answer)
        if ending.problem is not None:
            raise ending.problem
        texts = [part for part in parts if isinstance(part, Written)]
        whole, reasoning = (
            "".join(each) for each in zip(*((text.answer, text.reasoning) for text in texts), strict=True)
        )
        completion = reply.completion(whole, reasoning, ending, answer.written)
        seen = [part for part in parts if isinstance(part, Seen)]
        read = {"readings": together(seen).object} if seen else {}
        return JSONResponse(completion | read)

    async def _cancel_when_gone(self, request: Request, answer: Answer) -> None:
        """Until the client leaves, or the response is complete: both look the same, and then it does no harm."""
        while (await request.receive())["type"] != "http.disconnect":
            pass
        self._worker.cancel(answer)

    async def _body(self, request: Request) -> bytes:
        check_content_type(request, "application/json")
        return await read_body(request, self._worker.limits.body_bytes)

    def _checked(self, steering: FiniteValues) -> FiniteValues:
        check_axes(steering, self._worker.sliders)
        limit = self._worker.limits.slider
        for name, value in steering.items():
            if abs(value) > limit:
                raise SteeringError(f"Expected {name!r} between {-limit:g} and {limit:g}, found {value:g}.")
        return steering

    def _profile(self, name: str | None) -> FiniteValues:
        return {} if name is None else dict(profile_values(name, self._profiles, self._worker.sliders))

    def _watch(self, asked: ChatRequest, prompt_length: int) -> Watch | None:
        """What reads the answer's tokens. Raises SteeringError for an unknown axis or a prompt too short for a gate."""
        sliders, rules, shows = self._worker.sliders, asked.stop_when or {}, bool(asked.readings)
        check_axes(rules, sliders)
        if not (shows or rules):
            return None
        watch = self._worker.watch(sliders if shows else rules, rules, shows, asked.harm)
        if (needed := max((token for gate in watch.gates for token in gate.tokens), default=1)) > prompt_length:
            raise SteeringError(f"Expected a prompt of {needed} tokens, which a gate reads, found {prompt_length}.")
        return watch

    def _tokens(self, chat: Chat) -> list[int]:
        tokens, limit = self._worker.lm.tokenize(chat).ids, self._worker.limits.prompt_tokens
        if len(tokens) > limit:
            raise ApiError(400, f"Expected {limit} prompt tokens at most, found {len(tokens)}; send less.", TOO_LONG)
        return tokens

    def _decoding(self, asked: ChatRequest, prompt_length: int) -> Decoding:
        """How to write the answer. Raises ApiError where it can't be as long as asked for."""
        context = self._worker.context_length
        room = self._worker.limits.new_tokens if context is None else context - prompt_length
        limit = min(self._worker.limits.new_tokens, room)
        wanted = asked.max_completion_tokens or asked.max_tokens or max(limit, 1)
        if wanted > limit:
            asked_for = f"for an answer to a prompt of {prompt_length}, found {wanted}; ask for fewer or send less."
            code = TOO_LONG if wanted > room else None
            raise ApiError(400, f"Expected at most {max(limit, 0)} tokens {asked_for}", code)
        temperature = 1.0 if asked.temperature is None else asked.temperature
        return Decoding(wanted, temperature, asked.top_p or 1.0, asked.seed, asked.stop_strings)


async def _responses(pieces: asyncio.Queue[Piece], stream: ReasoningStream) -> AsyncIterator[Written | Seen]:
    """Pieces of thought and answer as they become certain, and what is read, until the answer's ending."""
    while not isinstance(piece := await pieces.get(), Ending):
        yield piece if isinstance(piece, Seen) else stream.add(piece)
    yield stream.finish()


def _ending(answer: Answer) -> Ending:
    assert answer.ending is not None, "it is set before it is handed out"
    return answer.ending


async def _events(
    reply: Reply, answer: Answer, written: AsyncIterator[Written | Seen], with_usage: bool
) -> AsyncIterator[str]:
    yield reply.chunk({"role": "assistant", "content": ""})
    async for part in written:
        if isinstance(part, Seen):
            yield reply.chunk({}, seen=part)
            continue
        for name, text in (("reasoning_content", part.reasoning), ("content", part.answer)):
            if text:
                yield reply.chunk({name: text})
    ending = _ending(answer)
    if ending.problem is not None:
        yield event(refusal(ending.problem).body)
        return
    yield reply.chunk({}, ending)
    if with_usage:
        yield reply.usage_chunk(answer.written)
    yield "data: [DONE]\n\n"
