"""A file's words stand in the card of a published folder as words."""

from collections import Counter
from dataclasses import replace

import yaml
from markdown_it import MarkdownIt

from steering.formats.card import card
from steering.models.identity import ModelIdentity
from steering.vectors.provenance import Origin, Source
from tests.helpers.known_vectors import slider_of
from tests.helpers.tiny import LAYERS, WIDTH, random_vector

HOSTILE = (
    "x\n```\n<script>alert(1)</script>\n\n# Owned\n\n````\n[link](javascript:alert(1)) ![i](http://x/i.png) **b** "
    '| a | "\n---\nlicense: mit\n---\n\x1b[2J~~~'
)


def written(name: str) -> str:
    model = ModelIdentity(name=name, model_type=name, n_layers=LAYERS, d_model=WIDTH, config="c", system_prompt=name)
    source = Source(
        contrast_set=name, fingerprint=name, pairs=8, held_out_pairs=2, method="mean_difference", position=name
    )
    origin = Origin(model=model, sources=(source,), expression=name, recipe=name, citation=name)
    summary = slider_of(replace(random_vector(), origin=origin)).summary()
    return card({"safety": summary}, license="apache-2.0", base_model=name, measured="", citation="")


def parts(text: str) -> Counter[str]:
    """What the card's Markdown is made of, inside lines too."""
    tokens = MarkdownIt().enable("table").parse(text.split("\n---\n", 1)[1])
    return Counter(part.type for token in tokens for part in (token, *(token.children or ())))


def test_hostile_names_change_nothing_about_a_cards_structure() -> None:
    assert parts(written(HOSTILE)) == parts(written("plain"))
    assert "\x1b" not in written(HOSTILE)


def test_hostile_names_stay_values_of_the_metadata() -> None:
    header = yaml.safe_load(written(HOSTILE).split("---\n", 1)[1].split("\n---\n\n# Sliders", 1)[0])
    assert header["license"] == "apache-2.0"
    assert header["base_model"] == HOSTILE
