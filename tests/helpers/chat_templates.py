"""Chat templates in the shapes of well-known ones, each with what stands before an answer, and small tokenizers."""

from collections.abc import Callable
from dataclasses import dataclass

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

PROMPT = "Name a fruit."
"""What `Shape.before` asks."""


@dataclass(frozen=True)
class Shape:
    """A template, and the text that it makes of `PROMPT` and an answer."""

    template: str
    before: str
    """Up to the answer's own tokens, an empty thought included."""
    space: str = ""
    """Between that and the answer, and joined with its first word."""
    prompt: str | None = None
    """What `generate` gets, where it isn't the same."""
    shows_answer: bool = True
    """Whether the template's own rendering of the answer begins so."""
    shown: Callable[[str], str] = str
    """What it makes of an answer."""


def without_lines(text: str) -> str:
    return text.lstrip("\n")


def _turns(opening: str, closing: str, assistant: str, generation: str, content: str = "m.content") -> str:
    """A template of turns whose openings and closings are alike."""
    return (
        "{% for m in messages %}{% if m.role == 'assistant' %}" + assistant + "{{ " + content + " }}"
        "{% else %}" + opening + "{{ " + content + " }}{% endif %}{{ '" + closing + "' }}{% endfor %}"
        "{% if add_generation_prompt %}" + generation + "{% endif %}"
    )


_CHATML_OPENING, _CHATML_END = "<|im_start|>{{ m.role }}\n", "<|im_end|>\n"
_CHATML = f"<|im_start|>user\n{PROMPT}<|im_end|>\n<|im_start|>assistant\n"
_THINKING = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}{% set c = m.content %}"
    "{% set thought = '' %}{% if '</think>' in c %}{% set thought = c.split('</think>')[0].split('<think>')[-1] %}"
    "{% set c = c.split('</think>')[-1] %}{% endif %}"
    "<think>\n{{ thought.strip('\n') }}\n</think>\n\n{{ c.lstrip('\n') }}{% else %}{{ m.content }}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
)
QWEN3 = _THINKING + (
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
_DEEPSEEK = (
    "<s>{% for m in messages %}{% if m.role == 'user' %}<|User|>{{ m.content }}{% else %}<|Assistant|>"
    "{{ m.content.split('</think>')[-1] }}</s>{% endif %}{% endfor %}"
)
_GEMMA = (
    "<s>{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ m.content | trim }}<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
_LLAMA_3 = (
    "<s>{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content | trim }}<|eot_id|>"
    "{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
_MISTRAL = (
    "<s>{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]{% else %} {{ m.content }}</s>"
    "{% endif %}{% endfor %}"
)
_GPT_OSS = (
    "{% for m in messages %}{% if m.role == 'assistant' %}{% if '<|channel|>' in m.content %}"
    "{{ raise_exception('You have passed a message containing <|channel|> tags in the content field.') }}{% endif %}"
    "<|start|>assistant<|channel|>final<|message|>{{ m.content }}<|return|>"
    "{% else %}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)
_PARTS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% for part in m.content %}{% if part.type == 'image' %}<image>"
    "{% else %}{{ part.text }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_COLON = f"User: {PROMPT}\n\nAssistant:"
SHAPES = {
    "ChatML": Shape(_turns(_CHATML_OPENING, _CHATML_END, _CHATML_OPENING, "<|im_start|>assistant\n"), _CHATML),
    "Llama 3": Shape(
        _LLAMA_3,
        f"<s><|start_header_id|>user<|end_header_id|>\n\n{PROMPT}<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        shown=str.strip,
    ),
    "Mistral": Shape(_MISTRAL, f"<s>[INST] {PROMPT} [/INST]", " "),
    "Mistral without a space": Shape(
        _MISTRAL.replace(" {{ m.content }}</s>", "{{ m.content }}</s>"), f"<s>[INST] {PROMPT} [/INST]"
    ),
    "Gemma": Shape(_GEMMA, f"<s><start_of_turn>user\n{PROMPT}<end_of_turn>\n<start_of_turn>model\n", shown=str.strip),
    "Assistant:": Shape(_turns("User: ", "\n\n", "Assistant: ", "Assistant:"), _COLON, " "),
    "Assistant: and a space": Shape(
        _turns("User: ", "\n\n", "Assistant: ", "Assistant: "), f"{_COLON} ", shows_answer=False
    ),
    "newline": Shape(
        _turns("### Instruction:\n", "\n\n", "### Response:\n", "### Response:\n"),
        f"### Instruction:\n{PROMPT}\n\n### Response:\n",
    ),
    "a line more in the turn": Shape(
        _turns("<|user|>\n", "</s>\n", "<|assistant|>\n", "<|assistant|>"),
        f"<|user|>\n{PROMPT}</s>\n<|assistant|>\n",
        prompt=f"<|user|>\n{PROMPT}</s>\n<|assistant|>",
    ),
    "Qwen3": Shape(QWEN3, f"{_CHATML}<think>\n\n</think>\n\n", prompt=_CHATML, shown=without_lines),
    "Qwen3 without thinking": Shape(
        QWEN3.replace("enable_thinking is defined and enable_thinking is false", "true"),
        f"{_CHATML}<think>\n\n</think>\n\n",
        shown=without_lines,
    ),
    "Qwen3 2507": Shape(
        _THINKING + "<think>\n{% endif %}",
        f"{_CHATML}<think>\n\n</think>\n\n",
        prompt=f"{_CHATML}<think>\n",
        shown=without_lines,
    ),
    "DeepSeek R1": Shape(
        _DEEPSEEK + "{% if add_generation_prompt %}<|Assistant|><think>\n{% endif %}",
        f"<s><|User|>{PROMPT}<|Assistant|><think>\n\n</think>\n\n",
        prompt=f"<s><|User|>{PROMPT}<|Assistant|><think>\n",
        shows_answer=False,
    ),
    "DeepSeek V3.1": Shape(
        _DEEPSEEK.replace("<|Assistant|>", "<|Assistant|></think>")
        + "{% if add_generation_prompt %}<|Assistant|><think>{% endif %}",
        f"<s><|User|>{PROMPT}<|Assistant|><think></think>",
        prompt=f"<s><|User|>{PROMPT}<|Assistant|><think>",
        shows_answer=False,
    ),
    "Nemotron 3": Shape(
        _turns(
            _CHATML_OPENING,
            _CHATML_END,
            _CHATML_OPENING + "<think></think>",
            "<|im_start|>assistant\n<think>\n",
            "m.content.split('</think>')[-1]",
        ),
        f"{_CHATML}<think>\n\n</think>\n\n",
        prompt=f"{_CHATML}<think>\n",
        shows_answer=False,
    ),
    "gpt-oss": Shape(
        _GPT_OSS,
        f"<|start|>user<|message|>{PROMPT}<|end|><|start|>assistant<|channel|>final<|message|>",
        prompt=f"<|start|>user<|message|>{PROMPT}<|end|><|start|>assistant",
    ),
    "parts": Shape(_PARTS, _CHATML),
    "parts, answers as text": Shape(
        _PARTS.replace("{% for part", "{% if m.role == 'assistant' %}{{ m.content }}{% else %}{% for part").replace(
            "{% endif %}{% endfor %}<|im_end|>", "{% endif %}{% endfor %}{% endif %}<|im_end|>"
        ),
        _CHATML,
        shows_answer=False,
    ),
    "no answers": Shape(
        "{% for m in messages if m.role != 'assistant' %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
        "{% endfor %}{{ '<|im_start|>assistant\n' }}",
        _CHATML,
        shows_answer=False,
    ),
    "answers refused": Shape(
        "{% for m in messages %}{% if m.role == 'assistant' %}{{ raise_exception('No.') }}{% endif %}"
        "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{{ '<|im_start|>assistant\n' }}",
        _CHATML,
        shows_answer=False,
    ),
    "answers in capitals": Shape(
        _turns(_CHATML_OPENING, _CHATML_END, _CHATML_OPENING, "<|im_start|>assistant\n").replace(
            "{{ m.content }}", "{{ m.content | upper }}", 1
        ),
        _CHATML,
        shows_answer=False,
    ),
}

_SPECIAL = (
    "<pad> <s> </s> <|im_start|> <|im_end|> <|start_header_id|> <|end_header_id|> <|eot_id|> [INST] [/INST] "
    "<start_of_turn> <end_of_turn> <|User|> <|Assistant|> <|user|> <|assistant|> <|start|> <|end|> <|channel|> "
    "<|message|> <|return|> <think> </think>"
)
_CORPUS = [
    "I'm sorry, but I can't help with that.",
    "I cannot provide that. Sorry, I won't. As an AI, I apologize. Unfortunately, no. No, thanks. Yes, sure.",
    "Sorry. Is it Yes or No? Sorry. As said, Unfortunately, Yes. But No, Sorry, As it is, No. Yes. Unfortunately I.",
    "User: Name a fruit.\n\nAssistant: An apple is a fruit, and so is a pear.\n\n\n### Response:\nHere are two:\n\n1.",
    "assistant\nAn apple.\n<think>\n\n</think>\n\nA pear. analysis final user system assistantfinal",
] * 20


def small_tokenizer(kind: str) -> PreTrainedTokenizerFast:
    """A trained tokenizer of a kind: see `TOKENIZERS`."""
    tokenizer, alphabet = _KINDS[kind]()
    in_lines = not isinstance(tokenizer.decoder, decoders.ByteLevel)  # no token has a line break and more
    texts = [line for text in _CORPUS for line in text.split("\n")] if in_lines else _CORPUS
    trainer = {models.BPE: trainers.BpeTrainer, models.WordPiece: trainers.WordPieceTrainer}[type(tokenizer.model)]
    options = {"vocab_size": 900, "special_tokens": ["<unk>", *_SPECIAL.split()], "show_progress": False}
    tokenizer.train_from_iterator(texts, trainer(initial_alphabet=alphabet, **options))
    if kind == "Llama 2":
        tokenizer.pre_tokenizer = None  # words are parted in training only
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", bos_token="<s>")


def _byte_level() -> tuple[Tokenizer, list[str]]:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer, pre_tokenizers.ByteLevel.alphabet()


def _metaspace(prepend_scheme: str) -> tuple[Tokenizer, list[str]]:
    """As SentencePiece: a text's first word has a space in front, or not."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=prepend_scheme)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme=prepend_scheme)
    return tokenizer, [chr(code) for code in range(32, 127)] + ["\n"]


def _legacy_llama() -> tuple[Tokenizer, list[str]]:
    """As Llama 2's: the space in front is the normalizer's, and words aren't parted."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return tokenizer, [chr(code) for code in range(32, 127)] + ["\n", "▁"]


def _word_piece() -> tuple[Tokenizer, list[str]]:
    tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer, [chr(code) for code in range(33, 127)]


_KINDS = {
    "byte-level": _byte_level,
    "SentencePiece": lambda: _metaspace("always"),
    "SentencePiece, first": lambda: _metaspace("first"),
    "SentencePiece without a space": lambda: _metaspace("never"),
    "Llama 2": _legacy_llama,
    "WordPiece": _word_piece,
}
TOKENIZERS = tuple(_KINDS)
