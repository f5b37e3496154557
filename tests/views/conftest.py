"""A real browser that may not fetch anything."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path(os.environ.get("WORKBENCH_CHROMIUM", "/usr/bin/chromium"))
ARGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
LOCAL = ("file:", "data:", "blob:")


def missing() -> str:
    """Return why no browser test can run, "" when they can."""
    if not CHROMIUM.exists():
        return f"no Chromium at {CHROMIUM}"
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "playwright is not installed"
    return ""


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    reason = missing()
    if reason and os.environ.get("WORKBENCH_REQUIRE_BROWSER") == "1":
        pytest.fail(reason, pytrace=False)
    if reason:
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(ARGS))
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open pages; fail at the end if one fetched something, threw, or logged an error."""
    faults: list[str] = []
    contexts: list[Any] = []

    def open_one(
        url: str | Path,
        *,
        allow: tuple[str, ...] = LOCAL,
        ignore: tuple[str, ...] = (),
        **options: Any,
    ) -> Any:
        options.setdefault("viewport", {"width": 1280, "height": 800})
        context = browser.new_context(**options)
        context.set_default_timeout(15_000)
        contexts.append(context)

        def guard(route: Any) -> None:
            if route.request.url.startswith(allow):
                route.continue_()
                return
            if not route.request.url.startswith(ignore or ("never:",)):
                faults.append(f"fetched {route.request.url}")
            route.abort()

        context.route("**/*", guard)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(f"threw {error}"))
        page.on("dialog", lambda dialog: (faults.append("dialog"), dialog.dismiss()))
        if not ignore:
            page.on(
                "console",
                lambda message: message.type == "error" and faults.append(f"log {message.text}"),
            )
        page.goto(url.as_uri() if isinstance(url, Path) else url)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert not faults, faults
