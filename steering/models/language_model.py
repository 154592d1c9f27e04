"""A transformers model with its tokenizer: chats in, token ids out, and where the decoder blocks are.

It knows nothing of steering; a slider moves a `LanguageModel` as it moves any transformers model.
"""

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from steering.data.chats import Chat, ChatLike, Message, as_chat
from steering.display.html import paragraph, table
from steering.errors import SteeringError
from steering.models.batching import pad
from steering.models.chat_rendering import ChatRenderer
from steering.models.chat_template import tokenizer_of
from steering.models.chat_tokens import ChatTokenizer, TokenizedChat
from steering.models.decoder_blocks import find_blocks
from steering.models.identity import EMPTY_SYSTEM_PROMPT, ModelIdentity, fingerprint, identify

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge


@dataclass(frozen=True, eq=False, repr=False)
class LanguageModel:
    """A causal language model that `load()` loaded, or that the user wraps: `LanguageModel(model, tokenizer)`.

    Raises:
        SteeringError: when the decoder blocks can't be found.

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
    tokenizer: PreTrainedTokenizerBase
    name: str = ""
    """Hub id, folder or file; the model's own name when empty."""
    revision: str | None = None
    system_prompt: str | None = None
    """Put in front of every chat that has no system turn. None leaves the chat template's own default, if any."""
    blocks_path: str | None = None
    """Dotted path of the decoder blocks, for architectures in which they can't be found."""
    template: Mapping[str, JsonValue] = field(default_factory=dict)
    """Arguments of the chat template, such as `{"enable_thinking": False}`."""
    blocks: nn.ModuleList = field(init=False)
    chats: ChatTokenizer = field(init=False)
    """How chats become tokens."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "tokenizer", tokenizer_of(self.tokenizer))
        object.__setattr__(self, "blocks", find_blocks(self.model, self.blocks_path))
        object.__setattr__(self, "chats", ChatTokenizer(ChatRenderer(self.tokenizer, self.template)))

    @property
    def n_layers(self) -> int:
        """Number of decoder blocks."""
        return len(self.blocks)

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return int(self.model.config.get_text_config(decoder=True).hidden_size)

    @property
    def has_chat_template(self) -> bool:
        """Whether chats are rendered by a template."""
        return self.chats.renderer.source is not None

    @property
    def identity(self) -> ModelIdentity:
        """What an artifact records of this model."""
        source = self.chats.renderer.source
        chat_template = "none" if source is None else fingerprint(source.encode())
        template = json.dumps(self.chats.renderer.arguments, sort_keys=True)
        system_prompt = EMPTY_SYSTEM_PROMPT if self.system_prompt == "" else self.system_prompt or ""
        known = {"chat_template": chat_template, "template": template, "system_prompt": system_prompt}
        return self._weights_identity.model_copy(update=known)

    @cached_property
    def _weights_identity(self) -> ModelIdentity:
        return identify(self.model, self.blocks, self.name, self.revision)

    def tokenize(self, chat: ChatLike) -> TokenizedChat:
        """Token ids of a chat as the model meets it.

        A chat that ends with the user's turn gets the opening of the assistant's turn. One that ends with an answer is
        the text that the template makes of it, up to the answer's end: the answer's tokens are those that the model
        would write there, behind an empty thought where it would think first. Without a chat template the turns' texts
        stand on a line each.

        Args:
            chat: a prompt, or the turns of a chat.

        Returns:
            The ids, without padding, and where the prompt and the user's text in it end.

        Raises:
            SteeringError: when the chat template can't render the chat.
        """
        prompt, answer = self._parted(chat)
        return self.chats.answered(prompt, answer) if answer else self.chats.prompt(prompt)

    def tokenize_answer_start(self, chat: ChatLike) -> TokenizedChat:
        """Token ids of a prompt up to where answers begin to differ: behind the thought, closed and empty.

        What the first token of an answer is, is read here; `generate` begins where `tokenize` ends. The two are the
        same for a template that has answers follow on the prompt at once.

        Args:
            chat: a prompt, or the turns of a chat; one that ends with an answer is as `tokenize` gives it.

        Returns:
            The ids, as they stand in whole chats: without a token that an answer's beginning is joined with.

        Raises:
            SteeringError: when the chat template can't render the chat.
        """
        prompt, answer = self._parted(chat)
        return self.chats.answered(prompt, answer) if answer else self.chats.answer_start(prompt)

    @property
    def answers_at_once(self) -> bool:
        """Whether answers follow on prompts at once, with no thought or mark of the template's between."""
        return self.tokenize_answer_start("a").ids == self.tokenize("a").ids

    @property
    def post_instruction_length(self) -> int:
        """Number of template tokens after the user's text."""
        return self.chats.post_instruction_length

    def _parted(self, chat: ChatLike) -> tuple[Chat, str]:
        """The prompt, with the system turn, and the answer, if any."""
        messages = as_chat(chat)
        answer = messages[-1].content if messages[-1].role == "assistant" else ""
        prompt = messages[:-1] if messages[-1].role == "assistant" else messages
        if self.system_prompt is not None and not any(message.role == "system" for message in prompt):
            prompt = (Message(role="system", content=self.system_prompt), *prompt)
        return prompt, answer

    def generate(self, prompts: Sequence[ChatLike], max_new_tokens: int = 128, **options: Any) -> list[str]:
        """Answers to several prompts in one batch, greedy unless the options say otherwise.

        Under a dial with a value for each row, value i steers prompt i.

        Args:
            prompts: prompts or chats, one a row.
            max_new_tokens: length of the answers at most.
            options: of transformers' `generate`.

        Returns:
            One answer a prompt, without special tokens.
        """
        rows = [self.tokenize(prompt).ids for prompt in prompts]
        input_ids, attention_mask = pad(rows, self.padding_id, self.model.device, side="left")
        settings: dict[str, Any] = {"do_sample": False, "pad_token_id": self.padding_id} | options
        if not settings["do_sample"]:
            settings |= {key: None for key in ("temperature", "top_p", "top_k") if key not in options}
        output = self.model.generate(  # type: ignore[operator]
            input_ids=input_ids, attention_mask=attention_mask, max_new_tokens=max_new_tokens, **settings
        )
        texts = self.tokenizer.batch_decode(output[:, input_ids.shape[1] :], skip_special_tokens=True)
        return [text.strip() for text in texts]

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
            ["on", str(self.model.device)],
            ["chat template", self.chats.renderer.description],
            ["system prompt", "the template's own" if self.system_prompt is None else self.system_prompt or "empty"],
        ]
        return paragraph("LanguageModel", self.identity.name) + table([], rows)
