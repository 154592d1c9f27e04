"""The body of `POST /v1/chat/completions`: what of OpenAI's fields is understood, and what is refused."""

import json
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, TypeAdapter, ValidationError

from steering.data.chats import Message, first_problem
from steering.errors import SteeringError
from trimtab.serve.stop_rule import StopRule

IGNORED = frozenset(
    {"metadata", "prompt_cache_key", "safety_identifier", "service_tier", "store", "user", "parallel_tool_calls"}
)
"""Fields that change no answer."""
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
}
"""Fields that are understood at these values only, at which they do nothing."""


def _joined(content: Any) -> Any:
    """The text of a list of text parts; anything else as it is, for pydantic to judge."""
    if isinstance(content, list) and content and all(isinstance(part, dict) for part in content):
        texts = [part.get("text") for part in content if part.get("type") == "text"]
        if len(texts) == len(content) and all(isinstance(text, str) for text in texts):
            return "".join(map(str, texts))
    return content


class Turn(BaseModel):
    """One of OpenAI's messages, as far as it is text."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[str, BeforeValidator(_joined)]
    reasoning_content: str | None = None
    """A thought that comes back with its answer: models that think are given answers only."""

    @property
    def message(self) -> Message:
        """The turn as chat templates know it."""
        return Message(role="system" if self.role == "developer" else self.role, content=self.content)


class StreamOptions(BaseModel):
    """What a stream says besides the text."""

    include_usage: bool | None = None


Number: TypeAlias = Annotated[float, Field(strict=True, allow_inf_nan=False)]
TokenCount: TypeAlias = Annotated[int, Field(strict=True, ge=1)]
StopString: TypeAlias = Annotated[str, Field(min_length=1, max_length=100)]
FiniteValues: TypeAlias = dict[str, Number]


class ChatRequest(BaseModel):
    """OpenAI's request with `steering`, slider values by axis, `profile`, a name that stands for some, `harm`, a
    guard's probability for its prompt, `readings`, whether what is read is told, and `stop_when`, rules by axis.
    """

    model_config = ConfigDict(extra="allow")

    model: str
    messages: Annotated[list[Turn], Field(min_length=1)]
    steering: FiniteValues | None = None
    profile: str | None = None
    harm: Annotated[Number, Field(ge=0, le=1)] | None = None
    readings: Annotated[bool, Field(strict=True)] | None = None
    stop_when: dict[str, Annotated[StopRule, PlainValidator(StopRule.parse)]] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: TokenCount | None = None
    max_completion_tokens: TokenCount | None = None
    temperature: Annotated[Number, Field(ge=0, le=2)] | None = None
    top_p: Annotated[Number, Field(gt=0, le=1)] | None = None
    seed: Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63)] | None = None
    stop: StopString | Annotated[list[StopString], Field(max_length=4)] | None = None

    @property
    def stop_strings(self) -> list[str]:
        """The strings that end an answer."""
        return [self.stop] if isinstance(self.stop, str) else self.stop or []


def parse_request(body: bytes) -> ChatRequest:
    """Raises SteeringError for a body that isn't JSON, a field of a wrong type, or one that isn't supported."""
    try:
        request = ChatRequest.model_validate_json(body)
    except ValidationError as error:
        raise SteeringError(f"The request is not usable: {first_problem(error)}.") from error
    _check_names(body)
    for name, value in (request.model_extra or {}).items():
        if value is not None and name not in IGNORED and value not in NEUTRAL.get(name, ()):
            but = f" other than as {' or '.join(map(repr, NEUTRAL[name]))}" if name in NEUTRAL else ""
            raise SteeringError(f"The field {name!r} is not supported{but}; leave it out.")
    if request.messages[-1].role != "user":
        raise SteeringError(f"Expected the user's turn last, found one of {request.messages[-1].role!r}; end with it.")
    return request


def parse_slider_values(body: bytes) -> FiniteValues:
    """Slider values by axis. Raises SteeringError for anything else."""
    try:
        values = TypeAdapter(FiniteValues).validate_json(body)
    except ValidationError as error:
        raise SteeringError(f'Expected slider values such as {{"safety": 0.5}}: {first_problem(error)}.') from error
    _check_names(body)
    return values


def _check_names(body: bytes) -> None:
    """Raise SteeringError where valid JSON has a name twice in one object: parsers differ in which value they take."""

    def once(pairs: list[tuple[str, Any]]) -> None:
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise SteeringError(f"Expected every name once in an object, found {twice!r} twice; send one of them.")

    json.loads(body, object_pairs_hook=once, parse_int=float)  # Python refuses to read very long integers
