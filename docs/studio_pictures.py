"""The screenshots of the studio: `python docs/studio_pictures.py` writes them beside itself.

Needs playwright and the command `chromium`. SmolLM2-135M-Instruct with its shipped vectors, greedy, 48 tokens.
"""

import io
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

SETTINGS = "slider.helpfulness=1&slider.safety=0.4&color=helpfulness&sweep=helpfulness&length=48"
PATIENCE = 600_000
"""Milliseconds."""


def main() -> None:
    """Start the studio, ask it a question, take the pictures."""
    command = [sys.executable, "-m", "trimtab", "studio", "--no-browser", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        link = process.stdout.readline().removeprefix("Studio: ").strip()  # from now on it answers
        expect.set_options(timeout=PATIENCE)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            url = f"{link}&{SETTINGS}"
            page = asked(browser, url, viewport={"width": 1280, "height": 1930})
            page.click("#sweep")
            expect(page.locator("#sweep-status")).to_have_text("Answered.")
            expect(page.locator("#token-status")).to_have_text("")
            save(page, "studio.png")
            page.set_viewport_size({"width": 1280, "height": 900})
            page.click("#open-cards")
            expect(page.locator("#cards-status")).to_have_text("")
            save(page, "studio-cards.png")
            phone: dict[str, Any] = {
                "color_scheme": "dark",
                "device_scale_factor": 2,
                "is_mobile": True,
                "has_touch": True,
            }
            save(asked(browser, url, viewport={"width": 390, "height": 1500}, **phone), "studio-phone.png")
            browser.close()
    finally:
        process.terminate()
        process.wait()


def asked(browser: Browser, url: str, **options: Any) -> Page:
    """The page with its question answered."""
    page = browser.new_context(**options).new_page()
    page.goto(url)
    expect(page.locator("#model-line")).not_to_have_text("Loading…")
    page.click("#send")
    expect(page.locator("#chat-status")).to_have_text("Answered.")
    return page


def save(page: Page, name: str) -> None:
    """The top of the page in 256 colors."""
    page.evaluate("scrollTo(0, 0)")
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(Path(__file__).with_name(name), optimize=True)


if __name__ == "__main__":
    main()
