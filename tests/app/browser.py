"""A headless Chromium that reaches this machine only, for tests of the pages."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="needs Chromium (Debian's package chromium)")


@dataclass
class Watched:
    """A page with what went wrong in it."""

    page: Any
    problems: list[str] = field(default_factory=list)

    def until(self, expression: str, *, at_most_s: float = 30.0) -> None:
        """Wait until a JavaScript expression is true; the pages' policy forbids Playwright's own way."""
        end_s = time.monotonic() + at_most_s
        while not self.page.evaluate(expression):
            assert time.monotonic() < end_s, f"not true within {at_most_s:.0f} s: {expression}"
            self.page.wait_for_timeout(30)

    def text(self, selector: str) -> str:
        return str(self.page.text_content(selector) or "")


@contextmanager
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, headless=True, args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Any, *, size: tuple[int, int] = (1280, 800), **options: Any) -> Iterator[Watched]:
    """A page in a context of its own; errors of scripts and refused requests are noted."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)
    context.route("**/*", _only_here)
    watched = Watched(context.new_page())
    page = watched.page
    page.on("pageerror", lambda error: watched.problems.append(str(error)))
    page.on("console", lambda line: watched.problems.append(line.text) if line.type == "error" else None)
    try:
        yield watched
    finally:
        context.close()


def _only_here(route: Any) -> None:
    address = urlsplit(route.request.url)
    if address.hostname == "127.0.0.1" or address.scheme in ("blob", "data"):
        route.continue_()
    else:
        route.abort("internetdisconnected")
