"""A transformers model with its tokenizer: chats in, token ids out, and where the decoder blocks are.

It knows nothing of steering; a slider moves a `LanguageModel` as it moves any transformers model.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from pydantic import JsonValue
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from steering.data.chats import Chat, ChatLike, Message, as_chat, without_answer
from steering.display.html import paragraph, table
from steering.models.adapters import adapter_state
from steering.models.batching import pad
from steering.models.chat_rendering import ChatRenderer
from steering.models.chat_template import tokenizer_of
from steering.models.chat_tokens import ChatTokenizer, TokenizedChat
from steering.models.declared_prompts import declared_prompts
from steering.models.decoder_blocks import find_blocks
from steering.models.greedy import given_options, greedy_options
from steering.models.identity import EMPTY_SYSTEM_PROMPT, ModelIdentity, fingerprint, identify
from steering.models.reasoning import Marks, empty_thought, is_closed_at_end, marks_of
from steering.models.response_tokens import ResponseTokens, known_marks
from steering.models.transformer_lens import build_bridge
from steering.models.wrappers import unwrapped

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge


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
    template: Mapping[str, JsonValue] = field(default_factory=dict)
    """Arguments of the chat template by name, such as `enable_thinking`."""
    closes_thought: bool = False
    """Whether prompts end behind a closed, empty thought; see `without_thought`."""
    blocks: nn.ModuleList = field(init=False)
    chats: ChatTokenizer = field(init=False)
    """How chats become tokens."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", unwrapped(self.model))
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
        return self.chats.renderer.source is not None

    @property
    def identity(self) -> ModelIdentity:
        """What an artifact records of this model, with the PEFT adapters that act in it now."""
        source = self.chats.renderer.source
        chat_template = "none" if source is None else fingerprint(source.encode())
        template = json.dumps(self.chats.renderer.arguments, sort_keys=True)
        system_prompt = EMPTY_SYSTEM_PROMPT if self.system_prompt == "" else self.system_prompt or ""
        known = {"chat_template": chat_template, "template": template, "system_prompt": system_prompt}
        state = adapter_state(self.model)
        if state not in self._identities:
            self._identities[state] = identify(self.model, self.blocks, self.name, self.revision)
        return self._identities[state].model_copy(update=known)

    @cached_property
    def _identities(self) -> dict[frozenset[str], ModelIdentity]:
        """What the model alone tells, by the state of its adapters."""
        return {}

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
        return self._told_apart(self.chats.answered(prompt, answer) if answer else self._prompt(prompt))

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
        return self._told_apart(self.chats.answered(prompt, answer) if answer else self.chats.answer_start(prompt))

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
        prompt = without_answer(messages)
        if self.system_prompt is not None and not any(message.role == "system" for message in prompt):
            prompt = (Message(role="system", content=self.system_prompt), *prompt)
        return prompt, answer

    def _told_apart(self, chat: TokenizedChat) -> TokenizedChat:
        """The chat with where its answer starts, behind a thought of its own too."""
        if not self.marks:
            return chat
        return replace(chat, answer_start=self.response_tokens.answer_start(chat.ids, chat.generation_start))

    def _prompt(self, prompt: Chat) -> TokenizedChat:
        plain = self.chats.prompt(prompt)
        if not (self.closes_thought and self.marks):
            return plain
        ids = self.chats.answer_start(prompt).ids
        if not is_closed_at_end(str(self.tokenizer.decode(ids))):  # the template shows no thought before an answer
            closed = empty_thought(str(self.tokenizer.decode(plain.ids)), self.marks)
            ids = plain.ids + self.tokenizer(closed, add_special_tokens=False).input_ids
        return replace(plain, ids=ids, prompt_length=len(ids), generation_start=len(ids), answer_start=len(ids) - 1)

    @cached_property
    def marks(self) -> Marks | None:
        """The marks that the model thinks between; None where it doesn't think, as far as its chat template says.

        It thinks if the template ends prompts inside a thought, or if it or the tokenizer's response template speaks of
        the marks of one. It doesn't if the template ends them behind a closed thought, as Qwen3's does with
        `enable_thinking=False`.
        """
        if not self.has_chat_template:
            return None
        prompt = self.chats.prompt((Message(role="user", content="Hi"),)).ids
        known = known_marks(self.tokenizer)
        templates = f"{self.chats.renderer.source}{getattr(self.tokenizer, 'response_template', None)}"
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

    def generate(self, prompts: Sequence[ChatLike], max_new_tokens: int = 128, **options: Any) -> list[str]:
        """Answers to several prompts in one batch, greedy unless the options say otherwise.

        Of the generation config in the model's folder counts which tokens end an answer, and `use_cache`; sampling,
        beams and penalties are for the options to ask for.

        Under a dial with a value for each row, value i steers prompt i. The answer of a model that thinks has the
        thought before it, between its marks: `split_reasoning` tells them apart.

        A chat that ends with an assistant's turn has a prefilled answer, which the model goes on with. To sliders and
        gates the prompt ends where that answer begins: the prefilled tokens are the answer's, as if the model had
        written them.

        Args:
            prompts: prompts or chats, one a row.
            max_new_tokens: length of the answers at most.
            options: of transformers' `generate`.

        Returns:
            One answer a prompt, with what was prefilled of it, without special tokens other than the marks of a
            thought; texts also where the options ask for a dictionary.

        Example:
            >>> turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Sure, here is"}]
            >>> lm.generate([turns], max_new_tokens=4)[0].startswith("Sure, here is")
            True
        """
        if not prompts:
            return []
        chats = [self.tokenize(prompt) for prompt in prompts]
        rows = [chat.ids for chat in chats]
        input_ids, attention_mask = pad(rows, self.padding_id, self.input_device, side="left")
        settings = greedy_options(self.model, {"pad_token_id": self.padding_id} | given_options(options))
        prefilled = any(chat.opening for chat in chats)
        with declared_prompts([chat.generation_start for chat in chats]) if prefilled else nullcontext():
            output = self.model.generate(  # type: ignore[operator]
                input_ids=input_ids, attention_mask=attention_mask, max_new_tokens=max_new_tokens, **settings
            )
        sequences = output if isinstance(output, Tensor) else output.sequences
        written = sequences[:, input_ids.shape[1] :].tolist()
        chats_of = [chats[number * len(rows) // len(written)] for number in range(len(written))]
        return [
            self.response_tokens.text(chat.opening + new, chat.asked)
            for chat, new in zip(chats_of, written, strict=True)
        ]

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
        return build_bridge(self.model, self.tokenizer, self.identity.name)

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
            ["chat template", self.chats.renderer.description],
            ["system prompt", "the template's own" if self.system_prompt is None else self.system_prompt or "empty"],
        ]
        return paragraph("LanguageModel", self.identity.name) + table([], rows)
