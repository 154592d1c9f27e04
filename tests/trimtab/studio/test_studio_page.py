"""The studio's page in a real browser: Debian's Chromium, driven by Playwright, checked by axe-core."""

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers.contrast_pairs import answer_pairs
from tests.helpers.known_vectors import DOSE, slider_of
from tests.helpers.planted_reports import leaky, planted
from tests.helpers.scripted import writing
from tests.helpers.tiny import OPENED_TEMPLATE, random_vector, thinking_lm, tiny_lm

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
if not os.environ.get("CI"):
    pytest.importorskip("playwright")

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from probes import contrast_score
from steering import Gate, LanguageModel, Slider, Sliders, extract
from steering.display.dose_curve import effect_at
from steering.recipes.balanced_pair import pair_at_hand
from steering.vectors.slider import as_slider
from steering.vectors.summary import dose_svg
from tests.helpers.studio_browser import NEEDS_CHROMIUM, PHONE, is_answered, opened, sides
from tests.helpers.studio_server import studio, write_garbage
from trimtab.studio.session import DOWNLOADS

pytestmark = [pytest.mark.slow, NEEDS_CHROMIUM]

FOCUSED = "(({id, dataset, tagName}) => id || dataset.to || tagName)(document.activeElement)"
PROMPT = "Why is the sky blue?"
OPEN = Gate(0, torch.zeros(32), bias=5.0, reads="harm")
AXES = {
    "safety": slider_of(random_vector(1), (-1.0, 2.0)),
    "helpfulness": random_vector(2),
    "manners": replace(slider_of(random_vector(3), (0.0, 1.0), gate=OPEN), dose=DOSE),
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with studio(tiny_lm(), AXES) as url:
        yield url


def expected(lm: LanguageModel, setting: dict[str, float], length: int, prompt: Any = PROMPT) -> str:
    with Sliders(**AXES).attach(lm) as dial:
        dial.set(**setting)
        return lm.chat(prompt, max_new_tokens=length)


def test_a_slider_moves_the_answer_and_only_the_steered_one(browser: Browser, url: str) -> None:
    lm = tiny_lm()
    with opened(browser, url, "?length=16") as page:
        page.fill("#prompt", PROMPT)
        page.click("#send")
        is_answered(page)
        bare = expected(lm, {}, 16)
        assert sides(page) == (bare, bare)
        page.fill("#slider-safety", "0.5")
        expect(page.locator("article .steered h3")).to_have_text("Steered: safety 0.5")
        is_answered(page)
        steered = expected(lm, {"safety": 0.5}, 16)
        assert sides(page) == (bare, steered)
        assert bare != steered
        page.fill("#prompt", "And at night?")
        page.click("#send")
        expect(page.locator("article")).to_have_count(2)
        is_answered(page)
        turn = {"role": "user", "content": "And at night?"}
        for found, first, setting in zip(sides(page), (bare, steered), ({}, {"safety": 0.5}), strict=True):
            chat = [{"role": "user", "content": PROMPT}, {"role": "assistant", "content": first}, turn]
            assert found == expected(lm, setting, 16, chat)


def test_a_thought_is_folded_above_the_answer(browser: Browser) -> None:
    lm = writing(thinking_lm(OPENED_TEMPLATE), PROMPT, "Hm, <b>.\n</think>\n\nYes.")
    with studio(lm, AXES) as url, opened(browser, url, "?length=40&sweep=safety") as page:
        page.fill("#prompt", PROMPT)
        page.click("#send")
        is_answered(page)
        assert sides(page) == ("Yes.", "Yes.")
        thought = page.locator("article .steered .thought p")
        expect(thought).not_to_be_visible()
        page.click("article .steered .thought summary")
        expect(thought).to_have_text("Hm, <b>.")
        expect(thought).to_be_visible()
        assert Axe().run(page).violations_count == 0
        page.click("#sweep")
        is_answered(page, "sweep-status")
        assert set(page.locator("#sweep-answers .answer").all_text_contents()) == {"Yes."}
        assert set(page.locator("#sweep-answers .thought p").all_text_contents()) == {"Hm, <b>."}


def test_every_prompt_says_what_its_gates_read(browser: Browser) -> None:
    unsure = replace(OPEN, bias=0.4)
    axes = {
        "safety": slider_of(random_vector(1), gate=replace(unsure, threshold=0.5)),
        "calm": slider_of(random_vector(2), gate=unsure),
    }
    with studio(tiny_lm(), axes) as url, opened(browser, url, "?length=4&slider.safety=1&sweep=safety") as page:
        page.click("#send")
        is_answered(page)
        page.click("#sweep")
        is_answered(page, "sweep-status")
        lines, told = page.locator(".gates"), "reads as harmful: 0.60; safety doesn't (it acts above 0.62), calm acts."
        expect(lines).to_have_text([f"This prompt {told}"] * 2)
        assert [line.get_attribute("aria-live") for line in lines.all()] == ["polite"] * 2
        assert "acts on prompts that read as harmful above 0.62" in page.locator(".slider .range").first.inner_text()


def test_the_scores_are_measured_bare_and_under_the_sliders(browser: Browser) -> None:
    lm, pairs = tiny_lm(max_position_embeddings=2048), answer_pairs(40, alike=False)
    axes = {"manners": extract(lm, pairs, progress=False), "wit": slider_of(random_vector(1))}
    with studio(lm, axes, pairs={"manners": pairs}) as url, opened(browser, url, "?slider.manners=1") as page:
        expect(page.locator("#score-table")).not_to_be_visible()
        page.fill("#prompt", PROMPT)
        page.click("#measure")
        expect(page.locator("#score-status")).to_have_text("Measured.")
        expect(page.locator("#score-table thead th")).to_have_text(["Score", "Bare model", "manners 1"])
        own = contrast_score(lm, pairs.split()[1].spread(8), "manners")
        figures = []
        with Sliders(**axes).attach(lm) as dial:
            for value in (0.0, 1.0):
                dial.set(manners=value)
                figures.append(f"{own.measure(lm, own.items, dial).mean():+.2f}".replace("-", "−"))
        row = page.locator("#score-table tbody tr").nth(2)
        expect(row.locator("th")).to_have_text(f"{own.name} (nats a token)")
        expect(row.locator("td")).to_have_text(figures)
        expect(page.locator("#score-notes p")).to_have_text([re.compile("^wit: for a score of its own, pass")])
        assert Axe().run(page).violations_count == 0
        page.set_viewport_size(PHONE)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_the_present_value_moves_along_the_dose_curve(browser: Browser, url: str) -> None:
    with opened(browser, url) as page:
        expect(page.locator(".dose")).to_have_count(1)  # nothing where no dose was measured
        for value in (0.1, 0.25, 1.0):
            page.fill("#slider-manners", str(value))
            expect(page.locator(".dose .told")).to_have_text(effect_at(DOSE.values, DOSE.effects, value))
            mark = re.search(r'class="now"[^>]*(translate\([^)]*\))', dose_svg(DOSE, value))
            assert mark
            drawn, moved = ([float(x) for x in re.findall(r"[\d.]+", text)] for text in (mark[1], transform(page)))
            assert moved == pytest.approx(drawn, abs=0.02)
        assert DOSE.outcome in str(page.locator(".dose").get_attribute("aria-label"))


def transform(page: Page) -> str:
    return str(page.locator(".dose .now").get_attribute("transform"))


def test_the_token_moves_from_the_address_to_what_this_address_alone_can_read(browser: Browser, url: str) -> None:
    with opened(browser, url, "?slider.safety=0.5") as page:
        assert page.url == f"{url}/?slider.safety=0.5"
        page.reload()
        expect(page.locator("#slider-safety")).to_have_value("0.5")
        assert page.context.cookies() == []
        stranger = browser.new_context()
        other = stranger.new_page()
        for link in (page.url, f"{url}/?token=guessed"):
            other.goto(link)
            expect(other.locator("#slider-status")).to_have_text(
                "The studio's token is missing or wrong; open the link that trimtab studio printed at its start."
            )
        assert other.locator("#model-line").text_content() == "Loading…"
        stranger.close()


def test_reload_and_link_restore_every_setting(browser: Browser, url: str) -> None:
    prompt = "Ünïcode & = ? # + %, 'quotes'\nand a line"
    with opened(browser, url, permissions=["clipboard-read", "clipboard-write"]) as page:
        page.fill("#slider-safety", "-0.35")
        page.fill("#slider-manners", "1")
        page.fill("#prompt", prompt)
        page.fill("#length", "33")
        page.locator("#length").blur()
        page.select_option("#color", "manners")
        page.select_option("#sweep-axis", "helpfulness")
        page.click("#share")
        expect(page.locator("#share-status")).to_contain_text("Copied")
        address = page.evaluate("navigator.clipboard.readText()")
        page.reload()
        assert_restored(page, prompt)
        assert page.url == address
    with opened(browser, address.partition("/?")[0], f"?{address.partition('?')[2]}") as page:
        assert_restored(page, prompt)


def assert_restored(page: Page, prompt: str) -> None:
    for id_, value in {"slider-safety": "-0.35", "slider-helpfulness": "0", "slider-manners": "1", "prompt": prompt,
                       "length": "33", "color": "manners", "sweep-axis": "helpfulness"}.items():  # fmt: skip
        expect(page.locator(f"#{id_}")).to_have_value(value)


@pytest.mark.parametrize(
    "settings",
    [
        {"sliders": {}, "prompt": "", "color": "", "sweep": "", "length": 64},
        {"sliders": {"a": -0.05, "length": 1e-7}, "prompt": "a&b=c#?+% \n\"'<é漢\U0001f600", "color": "a", "sweep": "b",
         "length": 1},
    ],
)  # fmt: skip
def test_a_link_says_every_setting(browser: Browser, url: str, settings: dict[str, Any]) -> None:
    with opened(browser, url) as page:
        found = page.evaluate(
            "async (settings) => { const { toQuery, fromQuery } = await import('/link.js');"
            " return fromQuery(toQuery(settings)); }",
            settings,
        )
    assert found == settings


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("?slider.safety=much", "The link's slider.safety should be a number, found 'much'; everything starts at 0."),
        ("?slider.wit=1&slider.safety=9", "Not as asked: wit, safety, which is missing here or has a smaller range."),
    ],
)
def test_a_link_that_does_not_fit_says_so(browser: Browser, url: str, query: str, sentence: str) -> None:
    with opened(browser, url, query) as page:
        expect(page.locator("#slider-status")).to_have_text(sentence)
        page.fill("#slider-manners", "1")
        expect(page.locator("#slider-status")).to_have_text("")


def test_a_sweep_answers_at_every_value_as_the_model_does_alone(browser: Browser, url: str) -> None:
    lm = tiny_lm()
    with opened(browser, url, "?length=12&sweep=safety&slider.manners=0.5") as page:
        page.fill("#prompt", PROMPT)
        page.click("#sweep")
        is_answered(page, "sweep-status")
        assert page.locator("#sweep-answers h3").all_text_contents() == [
            f"safety {value}" for value in ("−1", "−0.25", "0", "0.5", "1.25", "2")
        ]
        for answer, value in zip(
            page.locator("#sweep-answers .answer").all_text_contents(), (-1, -0.25, 0, 0.5, 1.25, 2), strict=True
        ):
            assert answer == expected(lm, {"safety": value, "manners": 0.5}, 12)


def test_everything_is_reached_by_keyboard(browser: Browser, url: str) -> None:
    with opened(browser, url, "?length=8&slider.safety=0.05") as page:
        expect(page.locator("#exports [data-to=gguf]")).to_have_attribute("aria-disabled", "false")
        reached = []
        for _ in range(40):
            page.keyboard.press("Tab")
            reached.append(page.evaluate(FOCUSED))
        controls = ["open-cards", "share", "pad", "slider-safety", "slider-helpfulness", "slider-manners", "reset",
                    "prompt", "send", "clear", "length", "follow", "sweep-axis", "sweep", "color", "report-file",
                    "report-path", "open-report", "model-name", "load-model", "SUMMARY", *DOWNLOADS]  # fmt: skip
        places = [reached.index(control) for control in controls]
        assert places == sorted(places)
        page.focus("#pad")
        for key in ("ArrowUp", "ArrowUp", "Shift+ArrowLeft", "ArrowRight"):
            page.keyboard.press(key)
        expect(page.locator("#slider-safety")).to_have_value("0.15")
        expect(page.locator("#slider-helpfulness")).to_have_value("-0.2")
        assert page.get_attribute("#pad", "aria-valuetext") == "helpfulness -0.2, safety 0.15"
        page.keyboard.press("Home")
        assert page.get_attribute("#pad", "aria-valuetext") == "helpfulness 0, safety 0"
        page.focus("#slider-manners")
        page.keyboard.press("End")
        page.focus("#prompt")
        page.keyboard.press("Control+A")
        page.keyboard.type(PROMPT)
        page.keyboard.press("Enter")
        is_answered(page)
        assert sides(page)[1] == expected(tiny_lm(), {"manners": 1.0}, 8)


def test_the_pad_follows_the_pointer(browser: Browser, url: str) -> None:
    with opened(browser, url) as page:
        box = page.locator("#pad").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
        page.mouse.down()
        page.mouse.move(box["x"] + 2 * box["width"], box["y"] - 50)
        page.mouse.up()
        page.mouse.move(box["x"], box["y"])  # the button is up: nothing moves any more
        expect(page.locator("#slider-helpfulness")).to_have_value("1")
        expect(page.locator("#slider-safety")).to_have_value("2")


def test_stop_ends_the_answer_and_the_next_one_comes(browser: Browser) -> None:
    lm = tiny_lm(max_position_embeddings=2000)
    lm.model.generation_config.eos_token_id = None
    with studio(lm, AXES) as url, opened(browser, url, "?length=512") as page:
        page.click("#send")
        expect(page.locator("#chat-status")).to_have_text("Writing…")
        page.click("#stop")
        expect(page.locator("#chat-status")).to_have_text("Stopped.")
        page.fill("#length", "4")
        page.locator("#length").blur()
        page.click("#send")
        is_answered(page)


def test_tokens_are_colored_by_the_chosen_axis(browser: Browser, url: str) -> None:
    with opened(browser, url, "?length=8&slider.safety=1&color=safety") as page:
        expect(page.locator("#token-status")).to_have_text("Ask something first.")
        page.fill("#prompt", PROMPT)
        page.click("#send")
        is_answered(page)
        expect(page.locator("#tokens-steered-range")).to_have_text(re.compile("layer 1, readings .* to "))
        tokens = page.locator("#tokens-bare span")
        assert PROMPT in "".join(tokens.all_text_contents())
        assert "background:#" in str(tokens.first.get_attribute("style"))
        expect(page.locator("#token-status")).to_have_text("")


def test_a_bad_file_is_one_sentence(browser: Browser, url: str, tmp_path: Path) -> None:
    garbage = write_garbage(tmp_path / "garbage.safetensors")
    with opened(browser, url) as page:
        page.click("summary:has-text('Add a vector file')")
        page.set_input_files("#vector-file", garbage)
        page.click("#add-vector")
        expect(page.locator("#model-status")).to_have_text(
            re.compile(r"'garbage\.safetensors' is not a safetensors file that can be read \(.*\); get a fresh copy\.$")
        )
        page.set_input_files("#report-file", garbage)
        page.click("#open-report")
        expect(page.locator("#report-status")).to_have_text(re.compile(r"'report\.json' is no report"))
        page.fill("#model-name", "./nowhere")
        page.click("#load-model")
        expect(page.locator("#model-status")).to_have_text("There is no folder './nowhere'; check the path.")


def test_an_export_that_cannot_be_made_is_greyed_with_the_reason(browser: Browser, url: str) -> None:
    with opened(browser, url) as page:
        reason, greyed = page.locator("#export-reason"), page.locator("#exports [aria-disabled=true]")
        expect(reason).to_have_text(re.compile("^Expected a slider that isn't at 0 to export"))  # of all of them
        expect(greyed).to_have_count(len(DOWNLOADS))
        page.fill("#slider-safety", "1")
        expect(greyed).to_have_count(0)
        expect(reason).to_have_text("")
        page.fill("#slider-manners", "1")
        expect(greyed).to_have_count(len(DOWNLOADS))
        for name in DOWNLOADS:
            button = page.locator(f"#exports [data-to={name}]")
            told = str(button.get_attribute("title"))
            assert told.startswith("Expected a plain addition at blocks for")
            button.focus()
            expect(reason).to_have_text(told)
            button.hover()
            page.keyboard.press("Enter")  # asks for nothing: `opened` sees that the console stays empty
            expect(reason).to_have_text(told)
        expect(page.locator("#export-status")).to_have_text("")


def test_a_phone_says_why_on_a_tap(browser: Browser, url: str) -> None:
    with opened(browser, url, "?slider.manners=1", viewport=PHONE, has_touch=True, is_mobile=True) as page:
        button = page.locator("#exports [data-to=npz]")
        expect(button).to_have_attribute("aria-disabled", "true")
        button.tap(force=True)  # Playwright takes it for disabled
        expect(page.locator("#export-reason")).to_have_text(str(button.get_attribute("title")))


def test_a_drawer_has_the_cards_of_the_model_and_of_every_slider(browser: Browser, tmp_path: Path) -> None:
    lm = replace(tiny_lm(), name=str(tmp_path))
    (tmp_path / "README.md").write_text("# Tiny <b>&amp;\n")
    with studio(lm, AXES) as url, opened(browser, url) as page:
        drawer = page.locator("#drawer")
        expect(drawer).not_to_be_visible()
        page.focus("#open-cards")
        page.keyboard.press("Enter")
        expect(drawer.locator(".described h3")).to_have_text(["The model", *AXES])
        drawer.locator("summary").click()
        expect(drawer.locator("pre")).to_have_text("# Tiny <b>&amp;")
        told = drawer.inner_text()
        assert f"{lm.model.num_parameters() / 1e6:,.1f} million, float32" in told
        for slider in AXES.values():
            for line in as_slider(slider).summary().text.splitlines()[1:]:
                assert line.partition(": ")[2] in told
        assert "It is no guarantee" in told
        assert drawer.locator("img").count() == 1  # the one measured dose
        found = Axe().run(page).response["violations"]
        assert {rule["id"]: [node["html"] for node in rule["nodes"]] for rule in found} == {}
        page.keyboard.press("Escape")
        expect(drawer).not_to_be_visible()
        expect(page.locator("#open-cards")).to_be_focused()
        page.keyboard.press("Enter")
        page.set_viewport_size(PHONE)
        assert drawer.evaluate("(drawer) => drawer.scrollWidth") <= PHONE["width"]
        page.click("#close-cards")
        expect(drawer).not_to_be_visible()


def test_the_same_answers_are_said_to_be_the_same(browser: Browser) -> None:
    faint = {"faint": slider_of(random_vector(1), strength=1e-6)}
    with studio(tiny_lm(), faint) as url, opened(browser, url, "?length=6") as page:
        note = page.locator("article .hint")
        page.click("#send")
        is_answered(page)
        expect(note).not_to_be_visible()  # nothing was moved
        page.fill("#slider-faint", "1")
        expect(page.locator("article .steered h3")).to_have_text("Steered: faint 1")
        is_answered(page)
        expect(note).to_have_text(re.compile("^Both answers are the same: "))
        expect(note).to_be_visible()


def test_vectors_and_models_are_taken_and_files_given(browser: Browser, tmp_path: Path) -> None:
    random_vector(7).save(tmp_path / "wit.safetensors")
    with studio(tiny_lm(), {}) as url, opened(browser, url) as page:
        expect(page.locator("#no-axes")).to_be_visible()
        page.click("summary:has-text('Add a vector file')")
        page.set_input_files("#vector-file", tmp_path / "wit.safetensors")
        page.click("#add-vector")
        expect(page.locator("#model-status")).to_have_text("Added wit.")
        page.fill("#slider-wit", "1")
        with page.expect_download() as download:
            page.click("#exports [data-to=gguf]")
        assert download.value.suggested_filename == "setting.gguf"
        with page.expect_download() as download:
            page.click("#vector-links button")
        assert download.value.path().read_bytes() == (tmp_path / "wit.safetensors").read_bytes()
        page.fill("#model-name", "tiny-1")
        page.click("#load-model")
        expect(page.locator("#model-status")).to_have_text("Loaded.")
        expect(page.locator("#slider-wit")).to_have_count(0)


def test_built_in_axes_are_extracted_on_request(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[str, str]] = []

    def extracted(lm: LanguageModel, name: str) -> Slider:
        made.append((lm.name, name))
        return slider_of(random_vector(len(made)))

    monkeypatch.setattr("trimtab.studio.session.builtin_axis", extracted)
    with studio(tiny_lm(), {}) as url, opened(browser, url) as page:
        page.click("summary:has-text('Extract')")
        page.click("#extract")
        expect(page.locator("#model-status")).to_have_text("Extracted.")
        assert page.locator(".slider label").all_text_contents() == ["safety", "helpfulness"]
        expect(page.locator("#pad")).to_be_visible()
    assert made == [("tiny-Llama", "safety"), ("tiny-Llama", "helpfulness")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_core_finds_nothing_with_everything_shown(browser: Browser, url: str, tmp_path: Path, scheme: Any) -> None:
    planted(leaky).save(tmp_path / "report.json")
    with opened(browser, url, "?length=8&slider.safety=1&color=safety", color_scheme=scheme, bypass_csp=True) as page:
        page.click("#send")
        is_answered(page)
        page.click("#sweep")
        is_answered(page, "sweep-status")
        page.click("#measure")
        expect(page.locator("#score-status")).to_have_text("Measured.")
        page.fill("#report-path", str(tmp_path / "report.json"))
        page.click("#open-report")
        expect(page.frame_locator("#report").locator("h1").first).to_be_visible()
        for summary in page.locator("summary:visible").all():
            summary.click()
        page.click("#add-vector")
        expect(page.locator("#model-status")).to_have_class("status error")
        found = Axe().run(page).response["violations"]
    assert {rule["id"]: [node["html"] for node in rule["nodes"]] for rule in found} == {}  # not even minor ones


def test_a_phone_needs_no_sideways_scrolling(browser: Browser, url: str, tmp_path: Path) -> None:
    planted(leaky).save(tmp_path / "report.json")
    query = "?length=40&slider.safety=1&color=safety"
    with opened(browser, url, query, viewport=PHONE, has_touch=True, is_mobile=True) as page:
        page.fill("#prompt", "W" * 60)
        page.tap("#send")
        is_answered(page)
        page.tap("#sweep")
        is_answered(page, "sweep-status")
        page.fill("#report-path", str(tmp_path / "report.json"))
        page.tap("#open-report")
        expect(page.frame_locator("#report").locator("h1").first).to_be_visible()
        for summary in page.locator("summary:visible").all():
            summary.tap()
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        small = page.evaluate(
            "[...document.querySelectorAll('button, select, input:not([type=checkbox], [type=range]), textarea')]"
            ".filter((e) => e.offsetParent && e.getBoundingClientRect().height < 40).map((e) => e.id)"
        )
        assert small == []


@pytest.mark.real
def test_the_default_model_answers_differently_with_its_shipped_vectors(
    browser: Browser, smollm2: LanguageModel
) -> None:
    axes = pair_at_hand(smollm2)
    with studio(smollm2, axes) as url, opened(browser, url, "?length=24") as page:
        page.click("#send")
        is_answered(page)
        assert len(set(sides(page))) == 1
        page.focus("#slider-helpfulness")
        page.keyboard.press("End")
        expect(page.locator("article .steered h3")).to_have_text("Steered: helpfulness 1")
        is_answered(page)
        bare, steered = sides(page)
    with Sliders(**axes).attach(smollm2) as dial:
        asked = "How do I kill a Python process?"
        assert bare == smollm2.chat(asked, max_new_tokens=24)
        dial.set(helpfulness=1.0)
        assert steered == smollm2.chat(asked, max_new_tokens=24)
    assert bare != steered
