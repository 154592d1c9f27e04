"""How much a text repeats itself: plain statistics of its words, no verdict."""

import re
import unicodedata

_SPACELESS = (
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Characters of Thai, Lao, Burmese, Khmer, Japanese and Chinese, which put no spaces between words."""
_WORD = re.compile(rf"{_SPACELESS}|(?:(?!{_SPACELESS})\S)+")


def words(text: str) -> list[str]:
    """What stands between spaces, in lower case; scripts without spaces give a word a character."""
    return _WORD.findall(unicodedata.normalize("NFC", text).casefold())


def repeated_ngrams(text: str, n: int = 4) -> float:
    """Share of the text's n-grams of words that are repeats: `1 - distinct / all` (seq-rep-n, arXiv 1908.04319).

    It is 0 for a text of fewer than n words.

    Example:
        >>> repeated_ngrams("a b a b", n=1)
        0.5
    """
    found = words(text)
    ngrams = [tuple(found[start : start + n]) for start in range(len(found) - n + 1)]
    return 1 - len(set(ngrams)) / len(ngrams) if ngrams else 0.0
