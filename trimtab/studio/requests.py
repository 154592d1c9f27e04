"""What the page may ask for. Anything else is refused with the first thing that is wrong."""

import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from steering.data.chats import Message
from steering.vectors.slider import SliderValues

MAX_PROMPT_TOKENS = 4096
"""Length of a chat, with its template's tokens."""

Axis = Annotated[str, StringConstraints(max_length=100)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _check_text(cls, content: Any) -> Any:
        json.dumps(content, ensure_ascii=False).encode()  # JSON can say half a character, which no tokenizer takes
        return content


class Asked(_Request):
    """A chat that ends with the user's turn."""

    chat: tuple[Message, ...] = Field(min_length=1)


class Row(Asked):
    """The same with the sliders' values for its answer; `{}` is the bare model."""

    setting: SliderValues


class Answers(_Request):
    """Rows of one batch."""

    rows: tuple[Row, ...] = Field(min_length=1, max_length=9)
    max_new_tokens: int = Field(ge=1, le=512)


class Tokens(Row):
    """A chat that ends with its answer, and the axis that its tokens are colored by."""

    axis: Axis


class Setting(_Request):
    """The sliders' values."""

    setting: SliderValues


class Export(Setting):
    """A setting for another tool: a name in `steering.formats.EXPORTS`."""

    to: str


class Model(_Request):
    """A model by its packaged name, folder, `.gguf` file or Hub id."""

    name: str = Field(min_length=1)


class ReportFile(_Request):
    """A report on the server's disk."""

    path: str = Field(min_length=1)


class VectorFile(ReportFile):
    """A vector file on the server's disk, and the axis that it becomes."""

    axis: Axis
