"""Hostile text in every place of the page that shows what people, models and files say, in a real browser.

The page is opened without its content security policy: escaping alone has to hold. That policy is tested apart.
"""

import os
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
import torch

from tests.helpers.known_vectors import DOSE, RECOGNITION, TRIALS, slider_of
from tests.helpers.planted_reports import leaky, planted
from tests.helpers.scripted import writing
from tests.helpers.tiny import LAYERS, random_vector, tiny_lm

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
if not os.environ.get("CI"):
    pytest.importorskip("playwright")

from playwright.sync_api import Browser, Frame, Page, expect

from steering import Gate, LanguageModel, Slider
from steering.vectors.provenance import Origin, Profile, Source
from tests.helpers.studio_browser import NEEDS_CHROMIUM, is_answered, opened, sides
from tests.helpers.studio_server import studio

pytestmark = [pytest.mark.slow, NEEDS_CHROMIUM]

ATTACKS = (
    "<script>top.pwned = 1</script>",
    "<img src=x: onerror='top.pwned = 2'>",
    '"><svg onload="top.pwned = 3">',
    "' autofocus onfocus='top.pwned = 4' x='",
    "</textarea></select></style></title></text></svg><script>top.pwned = 5</script>",
    "<iframe srcdoc='<script>top.pwned = 6</script>'></iframe>",
    '<a href="javascript:top.pwned = 7">x</a>',
    "<style>body { display: none }</style>",
    "]]>--><x xmlns='http://www.w3.org/1999/xhtml'><script>top.pwned = 8</script></x>",
    "&lt;script&gt;top.pwned = 9&lt;/script&gt;",
    "${top.pwned = 10} {{ 7 * 7 }} {% raw %}",
    "javascript:top.pwned = 11",
)
EVIL = " ".join(ATTACKS)
SHORT = "\"><img src=x: onerror='top.pwned = 12'><svg onload='top.pwned = 13'>{{0}}"
"""For what is of bounded length: a slider's name, an answer."""


def hostile_slider(lm: LanguageModel) -> Slider:
    """One that says it in all its metadata."""
    model = lm.identity.model_copy(update={"name": EVIL, "system_prompt": EVIL, "template": f'{{"x": "{EVIL}"}}'})
    source = Source(contrast_set=EVIL, fingerprint=EVIL, pairs=1, held_out_pairs=1, method=EVIL, position=EVIL)
    origin = Origin(model=model, sources=(source,), expression=EVIL, recipe=EVIL, citation=EVIL)
    profile = Profile(auroc=(0.5,) * LAYERS, pair_cosine=(0.1,) * LAYERS, residual_norm=(9.0,) * LAYERS)
    slider = slider_of(
        replace(random_vector(1), origin=origin, profile=profile),
        gate=Gate(0, torch.zeros(32), bias=5.0, reads="harm"),
    )
    trials = tuple(trial.model_copy(update={"push": EVIL}) for trial in TRIALS)
    recognition = tuple(found.model_copy(update={"prompts": EVIL}) for found in RECOGNITION)
    return replace(slider, dose=DOSE.model_copy(update={"outcome": EVIL}), trials=trials, recognition=recognition)


def assert_harmless(page: Page) -> None:
    """Nothing ran, and nothing that could was made."""
    assert page.evaluate("typeof top.pwned") == "undefined"
    assert found_in(page) == []


def found_in(page: Page | Frame) -> list[str]:
    """Elements that would run something, or are made from an attack."""
    found: list[str] = page.evaluate(
        "[...document.querySelectorAll('*')].filter((e) => [...e.attributes].some(({name, value}) =>"
        " name.startsWith('on') || /^\\s*javascript:/i.test(value) && ['href', 'src', 'action'].includes(name))"
        " || e.tagName.toLowerCase() === 'script' && !(e.src.endsWith('/studio.js')) || e.matches('img[src^=x]'))"
        ".map((e) => e.outerHTML)"
    )
    return found


def test_hostile_text_is_shown_as_text(browser: Browser, tmp_path: Path) -> None:
    lm = replace(tiny_lm(max_position_embeddings=16_384), name=EVIL)
    writing(lm, EVIL, SHORT)
    axes = {SHORT: hostile_slider(lm), "constructor": random_vector(2), "__proto__": random_vector(3)}
    query = (
        f"?prompt={quote(EVIL)}&length=90&color={quote(SHORT)}&sweep={quote(SHORT)}&slider.{quote(SHORT)}=1&toString=1"
    )
    allowed = ("config", "weights", "system_prompt", "template", "chat_template")
    with studio(lm, axes, allowed) as url, opened(browser, url, query, bypass_csp=True) as page:
        expect(page.locator("#model-line")).to_contain_text(EVIL)
        expect(page.locator(".slider label")).to_have_text([SHORT, "constructor", "__proto__"])
        assert page.input_value("#prompt") == EVIL
        page.click("#send")
        is_answered(page)
        assert sides(page) == (SHORT, SHORT)
        assert page.locator(".asked").text_content() == EVIL
        expect(page.locator("article .gates")).to_contain_text(f"{SHORT} acts")
        expect(page.locator("#token-status")).to_have_text("")
        assert EVIL in "".join(page.locator("#tokens-bare span").all_text_contents())
        page.click("#sweep")
        is_answered(page, "sweep-status")
        page.fill("#slider-constructor", "0.5")
        page.fill("#slider-__proto__", "0.25")
        expect(page.locator("article .steered h3")).to_contain_text(f"{SHORT} 1, constructor 0.5, __proto__ 0.25")
        assert_harmless(page)
        page.click("#open-cards")
        expect(page.locator(".described h3")).to_have_text(["The model", SHORT, "constructor", "__proto__"])
        assert page.locator("#cards").inner_text().count(ATTACKS[0]) > 10
        assert_harmless(page)
        page.click("#close-cards")
        for path, button, status in (("report-path", "open-report", "report-status"),
                                     ("model-name", "load-model", "model-status")):  # fmt: skip
            page.fill(f"#{path}", f"./{EVIL}")
            page.click(f"#{button}")
            expect(page.locator(f"#{status}")).to_have_class("status error")
            expect(page.locator(f"#{status}")).to_contain_text(ATTACKS[0])
        assert_harmless(page)
        page.reload()
        expect(page.locator("#slider-__proto__")).to_have_value("0.25")
        expect(page.locator("#slider-constructor")).to_have_value("0.5")
        assert_harmless(page)


def test_a_hostile_report_stays_text_in_a_frame_without_scripts(browser: Browser, tmp_path: Path) -> None:
    report = planted(leaky, name=EVIL, judge=EVIL)
    prompts = tuple(
        prompt.model_copy(update={"text": f"{prompt.text} {EVIL}", "category": EVIL, "source": EVIL})
        for prompt in report.benchmarks["set"].prompts
    )
    benchmark = report.benchmarks["set"].model_copy(update={"prompts": prompts, "license": EVIL, "citation": EVIL})
    report = report.model_copy(
        update={
            "axes": dict.fromkeys(report.axes, EVIL),
            "versions": {EVIL: EVIL},
            "benchmarks": {EVIL: benchmark},
            "answers": {EVIL: tuple(((EVIL,) * len(prompts),) for _ in report.settings)},
            "verdicts": {EVIL: {EVIL: report.verdicts[EVIL]["set"]}},
            "missing": (EVIL,),
        }
    )
    report.save(tmp_path / "report.json")
    with studio(tiny_lm(), {}) as url, opened(browser, url, bypass_csp=True) as page:
        page.fill("#report-path", str(tmp_path / "report.json"))
        page.click("#open-report")
        expect(page.frame_locator("#report").locator("h1").first).to_be_visible()
        assert page.get_attribute("#report", "sandbox") == ""
        handle = page.query_selector("#report")
        frame = handle.content_frame() if handle else None
        assert frame
        assert (frame.locator("body").text_content() or "").count(ATTACKS[0]) > 5
        assert found_in(frame) == []
        assert_harmless(page)


def test_the_policy_stops_what_would_slip_through(browser: Browser) -> None:
    with studio(tiny_lm(), {}) as url:
        page = browser.new_page()
        page.goto(url)
        reported = page.evaluate(
            """async () => {
              const found = [];
              document.addEventListener("securitypolicyviolation", (event) => found.push(event.effectiveDirective));
              const box = document.body.appendChild(document.createElement("div"));
              box.innerHTML = `<img src="https://evil.example/x.png" onerror="top.pwned = 1"><form action="/x"></form>
                <object data="/studio.js"></object><base href="https://evil.example/">`;
              const script = document.createElement("script");
              script.textContent = "top.pwned = 2";
              box.append(script);
              await fetch("https://evil.example/").catch(() => {});
              box.querySelector("form").submit();
              await new Promise((resolve) => setTimeout(resolve, 500));
              return found;
            }"""
        )
        assert page.evaluate("typeof top.pwned") == "undefined"
        assert {"img-src", "script-src-elem", "connect-src", "object-src", "base-uri", "form-action"} <= set(reported)
        page.close()
