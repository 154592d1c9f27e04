"""The studio's page in a real browser: Debian's Chromium, driven by Playwright."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.helpers.studio_server import TOKEN

CHROMIUM = shutil.which("chromium")
NEEDS_CHROMIUM = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"), reason="needs the command chromium: apt-get install chromium"
)
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 360, "height": 740}
PATIENCE = 120_000
"""Milliseconds for what the page is to show: a bound for a busy machine, not a figure."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, without a window."""
    assert CHROMIUM, "CI has to have the command chromium: see .ci/run"
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, url: str, query: str = "", **options: Any) -> Iterator[Page]:
    """The page; afterwards, nothing was complained of in its console, and nothing was asked of other machines."""
    context = browser.new_context(viewport=options.pop("viewport", DESKTOP), **options)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    complaints: list[str] = []
    hosts: set[str | None] = set()
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
    page.goto(f"{url}/{query}{'&' if query else '?'}token={TOKEN}")
    expect(page.locator("#model-line")).not_to_have_text("Loading…")
    yield page
    context.close()
    refused = [text for text in complaints if "status of 400" not in text]  # which the page shows as a sentence
    assert refused == []
    assert hosts <= {"127.0.0.1", None}  # no host: data: and blob: addresses


def is_answered(page: Page, status: str = "chat-status") -> None:
    expect(page.locator(f"#{status}")).to_have_text("Answered.")


def sides(page: Page) -> tuple[str, str]:
    """The last turn's answers, bare and steered, as they are in the document."""
    bare, steered = (page.locator(f"article .{side} .answer").last.text_content() for side in ("bare", "steered"))
    return bare or "", steered or ""
