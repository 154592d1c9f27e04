"""A transformers model with its tokenizer: chats in, token ids out, and where the decoder blocks are.

It knows nothing of steering; a slider moves a `LanguageModel` as it moves any transformers model.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from jinja2 import TemplateError
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from steering.data.chats import Chat, ChatLike, Message, as_chat
from steering.display.html import paragraph, table
from steering.errors import SteeringError
from steering.models.adapters import adapter_state
from steering.models.batching import pad
from steering.models.decoder_blocks import find_blocks
from steering.models.identity import ModelIdentity, fingerprint, identify
from steering.models.reasoning import Marks, empty_thought, marks_of
from steering.models.response_tokens import ResponseTokens, known_marks
from steering.models.wrappers import unwrapped

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge


@dataclass(frozen=True)
class TokenizedChat:
    """Token ids of a chat, and where its parts end."""

    ids: list[int]
    prompt_length: int
    """Tokens before the answer; all of them where the chat ends with the user's turn."""
    instruction_end: int
    """Tokens up to the end of the last user turn's text; what follows in the prompt is the template's."""
    answer_start: int
    """The first token that decides about the answer: the prompt's last, or the one that closes a thought. One past the
    last where the thought isn't closed."""


@dataclass(frozen=True, eq=False, repr=False)
class LanguageModel:
    """A causal language model that `load()` loaded, or that the user wraps: `LanguageModel(model, tokenizer)`.

    Raises:
        SteeringError: when the decoder blocks can't be found, or a wrapper holds no transformers model, or several.

    Example:
        >>> lm.n_layers, lm.d_model
        (4, 32)
        >>> chat = lm.tokenize("Why is the sky blue?")
        >>> len(chat.ids) == chat.prompt_length
        True
        >>> answers = lm.generate(["Hello!", "Why is the sky blue?"], max_new_tokens=4)
        >>> len(answers)
        2
    """

    model: PreTrainedModel
    """A wrapper, such as a PeftModel or a compiled model, becomes the transformers model inside it."""
    tokenizer: PreTrainedTokenizerBase
    name: str = ""
    """Hub id, folder or file; the model's own name when empty."""
    revision: str | None = None
    system_prompt: str | None = None
    """Put in front of every chat that has no system turn. None leaves the chat template's own default, if any."""
    blocks_path: str | None = None
    """Dotted path of the decoder blocks, for architectures in which they can't be found."""
    closes_thought: bool = False
    """Whether prompts end behind a closed, empty thought; see `without_thought`."""
    blocks: nn.ModuleList = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", unwrapped(self.model))
        object.__setattr__(self, "blocks", find_blocks(self.model, self.blocks_path))

    @property
    def n_layers(self) -> int:
        """Number of decoder blocks."""
        return len(self.blocks)

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return int(self.model.config.get_text_config(decoder=True).hidden_size)

    @property
    def input_device(self) -> torch.device:
        """Where token ids go: to the embeddings, or where accelerate brings offloaded ones to."""
        embeddings = self.model.get_input_embeddings()
        hook = getattr(embeddings, "_hf_hook", None)
        brought_to = [getattr(each, "execution_device", None) for each in getattr(hook, "hooks", [hook])]
        known = [device for device in brought_to if device is not None]
        return torch.device(known[0]) if known else next(embeddings.parameters()).device

    @property
    def has_chat_template(self) -> bool:
        """Whether chats are rendered by a template."""
        return bool(self.tokenizer.chat_template)

    @property
    def identity(self) -> ModelIdentity:
        """What an artifact records of this model, with the PEFT adapters that act in it now."""
        state = adapter_state(self.model)
        if state not in self._identities:
            self._identities[state] = self._identify()
        return self._identities[state]

    @cached_property
    def _identities(self) -> dict[frozenset[str], ModelIdentity]:
        """By the state of the adapters."""
        return {}

    def _identify(self) -> ModelIdentity:
        template = self.tokenizer.chat_template
        chat_template = fingerprint(str(template).encode()) if template else "none"
        known = {"chat_template": chat_template, "system_prompt": self.system_prompt or ""}
        return identify(self.model, self.blocks, self.name, self.revision).model_copy(update=known)

    def tokenize(self, chat: ChatLike) -> TokenizedChat:
        """Token ids of a chat as the model meets it.

        A chat that ends with the user's turn gets the opening of the assistant's turn; one that ends with an answer is
        that prompt followed by the answer's own tokens, as if the model had written them. Without a chat template the
        turns' texts stand on a line each.

        Args:
            chat: a prompt, or the turns of a chat.

        Returns:
            The ids, without padding, and where the prompt and the user's text in it end.

        Raises:
            SteeringError: when the chat template can't render the chat.
        """
        messages = as_chat(chat)
        answer = messages[-1].content if messages[-1].role == "assistant" else ""
        prompt = messages[:-1] if messages[-1].role == "assistant" else messages
        ids = self._prompt_ids(prompt)
        answer_ids = self.tokenizer(answer, add_special_tokens=False).input_ids if answer else []
        instruction_end = len(ids) - self.post_instruction_length
        answer_start = self.response_tokens.answer_start(ids + answer_ids, len(ids))
        return TokenizedChat(ids + answer_ids, len(ids), instruction_end, answer_start)

    @cached_property
    def marks(self) -> Marks | None:
        """The marks that the model thinks between; None where it doesn't think, as far as its chat template says.

        It thinks if the template ends prompts inside a thought, or if it or the tokenizer's response template speaks of
        the marks of one. It doesn't if the
        template ends them behind a closed thought, as Qwen3's does with `enable_thinking=False`.
        """
        if not self.has_chat_template:
            return None
        plain = replace(self, closes_thought=False)
        prompt = plain._prompt_ids((Message(role="user", content="Hi"),))
        known = known_marks(self.tokenizer)
        templates = f"{self.tokenizer.chat_template}{getattr(self.tokenizer, 'response_template', None)}"
        return marks_of(str(self.tokenizer.decode(prompt)), templates, known)

    def without_thought(self) -> "LanguageModel":
        """The same model, with prompts that end behind a closed, empty thought: what it writes is the answer.

        Itself where it doesn't think. For short answers, whose first words matter.
        """
        return self._without_thought if self.marks else self

    @cached_property
    def _without_thought(self) -> "LanguageModel":
        return replace(self, closes_thought=True)

    @cached_property
    def response_tokens(self) -> ResponseTokens:
        """Reads what the model writes: as text, and for where the answer behind its thought starts."""
        return ResponseTokens(self.tokenizer, self.marks)

    @cached_property
    def post_instruction_length(self) -> int:
        """Number of template tokens after the user's text: what two prompts with different texts have in common."""
        first, second = (self._prompt_ids((Message(role="user", content=text),)) for text in ("a b", "1 2"))
        return next(back for back, (a, b) in enumerate(zip(first[::-1], second[::-1], strict=False)) if a != b)

    def _prompt_ids(self, prompt: Chat) -> list[int]:
        messages = [message.model_dump() for message in prompt]
        if self.system_prompt is not None and not any(message.role == "system" for message in prompt):
            messages.insert(0, {"role": "system", "content": self.system_prompt})
        if not self.has_chat_template:
            text = "".join(f"{message['content']}\n" for message in messages)
            return list(self.tokenizer(text).input_ids)
        options: dict[str, Any] = {"add_generation_prompt": True, "tokenize": True, "return_dict": False}
        try:
            ids = list(self.tokenizer.apply_chat_template(messages, **options))
        except TemplateError as error:
            roles = [message["role"] for message in messages]
            raise SteeringError(
                f"The chat template of {self.identity.name!r} can't render turns {roles}: {error}; "
                "change the turns, or load the model without a system prompt."
            ) from error
        if self.closes_thought and self.marks:
            closed = empty_thought(str(self.tokenizer.decode(ids)), self.marks)
            ids += self.tokenizer(closed, add_special_tokens=False).input_ids
        return ids

    def generate(self, prompts: Sequence[ChatLike], max_new_tokens: int = 128, **options: Any) -> list[str]:
        """Answers to several prompts in one batch, greedy unless the options say otherwise.

        Under a dial with a value for each row, value i steers prompt i. The answer of a model that thinks has the
        thought before it, between its marks: `split_reasoning` tells them apart.

        Args:
            prompts: prompts or chats, one a row.
            max_new_tokens: length of the answers at most.
            options: of transformers' `generate`.

        Returns:
            One answer a prompt, without special tokens other than the marks of a thought; texts also where the options
            ask for a dictionary.
        """
        if not prompts:
            return []
        rows = [self.tokenize(prompt).ids for prompt in prompts]
        input_ids, attention_mask = pad(rows, self.padding_id, self.input_device, side="left")
        settings: dict[str, Any] = {"do_sample": False, "pad_token_id": self.padding_id} | options
        if not settings["do_sample"]:
            settings |= {key: None for key in ("temperature", "top_p", "top_k") if key not in options}
        output = self.model.generate(  # type: ignore[operator]
            input_ids=input_ids, attention_mask=attention_mask, max_new_tokens=max_new_tokens, **settings
        )
        sequences = output if isinstance(output, Tensor) else output.sequences
        written = sequences[:, input_ids.shape[1] :].tolist()
        prompts_of = (rows[number * len(rows) // len(written)] for number in range(len(written)))
        return list(map(self.response_tokens.text, written, prompts_of))

    def chat(self, prompt: ChatLike, max_new_tokens: int = 256, **options: Any) -> str:
        """The answer to one prompt or chat, as `generate` gives it.

        Args:
            prompt: the prompt, or the turns of a chat.
            max_new_tokens: length of the answer at most.
            options: of transformers' `generate`.
        """
        return self.generate([prompt], max_new_tokens, **options)[0]

    def bridge(self) -> "TransformerBridge":
        """TransformerLens' view of this very model, for its hooks and caches; the same one at every call.

        It wraps the loaded model where it stands, with the weights as they are, and switches attention to transformers'
        `eager` form, which shows its pattern. Sliders on this `LanguageModel` steer the bridge too. Its tokenizer is a
        copy, as it needs a beginning-of-sequence token. Parameters get TransformerLens' names, and joint
        query-key-value matrices are copied apart: load the model again to save it, or to steer such a model's heads.

        Returns:
            A `TransformerBridge` of TransformerLens 4, not in compatibility mode.

        Raises:
            SteeringError: when transformer-lens isn't installed, or doesn't know the architecture.

        Example:
            >>> bridge = lm.bridge()  # doctest: +SKIP
            >>> logits, cache = bridge.run_with_cache("Hello")  # doctest: +SKIP
            >>> cache["blocks.2.hook_resid_post"].shape  # doctest: +SKIP
            torch.Size([1, 6, 32])
        """
        return self._bridge

    @cached_property
    def _bridge(self) -> "TransformerBridge":
        try:
            from transformer_lens.model_bridge.sources import build_bridge_from_module
        except ImportError as error:
            raise SteeringError(
                "A bridge needs TransformerLens, which isn't installed; pip install 'trimtab[lens]'."
            ) from error
        tokenizer = deepcopy(self.tokenizer)
        tokenizer.init_kwargs["add_bos_token"] = True  # else TransformerLens loads it again, by its name
        architecture = type(self.model).__name__
        known: dict[str, Any] = {"hf_config": self.model.config, "tokenizer": tokenizer}
        try:
            bridge = build_bridge_from_module(self.model, architecture, model_name=self.identity.name, **known)
        except ValueError as error:
            raise SteeringError(
                f"TransformerLens has no bridge for {architecture!r}: {error}; use another model, or another "
                "version of transformer-lens."
            ) from error
        self.model.set_attn_implementation("eager")
        return bridge

    @property
    def padding_id(self) -> int:
        """A token id to fill padded positions with; its value has no effect under the attention mask."""
        return int(self.tokenizer.pad_token_id or self.tokenizer.eos_token_id or 0)

    def __repr__(self) -> str:
        return f"LanguageModel({self.identity.name!r}, {self.n_layers} layers of width {self.d_model})"

    def _repr_html_(self) -> str:
        parameters = sum(parameter.numel() for parameter in self.model.parameters())
        rows = [
            ["architecture", f"{self.identity.model_type}, {self.n_layers} blocks of width {self.d_model}"],
            ["parameters", f"{parameters / 1e6:,.1f} million, {str(self.model.dtype).removeprefix('torch.')}"],
            ["on", str(self.input_device)],
            ["chat template", "yes" if self.has_chat_template else "none"],
            ["system prompt", "the template's own" if self.system_prompt is None else self.system_prompt or "empty"],
        ]
        return paragraph("LanguageModel", self.identity.name) + table([], rows)
