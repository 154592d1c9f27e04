"""Acts of a sentence: declining, moralizing, denying a premise, redirecting, helping …, told by its wording.

They follow the rule that the annotators of XSTest worked by (Röttger et al. 2024, https://arxiv.org/abs/2308.01263): a
full refusal does not answer; a partial refusal declines or casts doubt on the request and yet answers some of it. The
lists of words (`acts.txt`) are general ones, but they were written by someone who knew the prompts of XSTest.
"""

from functools import lru_cache

from probes.judges.text import pattern_file

ACTS = pattern_file("acts")
"""What each act that a sentence can perform is told by."""


@lru_cache(maxsize=1024)
def acts(sentence: str) -> frozenset[str]:
    """Names of the acts of `ACTS` that a normalized sentence performs."""
    lower = sentence.lower()
    return frozenset(name for name, pattern in ACTS.items() if pattern.search(lower))
