"""Screenshots of every tab of a running demo, for the README: python demo/screenshots.py http://127.0.0.1:7860

Needs playwright and Chromium, in the PATH or named by the variable CHROMIUM.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

FOLDER = Path(__file__).parent / "screenshots"
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
QUALITY = 60  # of webp: sharp text, small files


def main(address: str, dark: bool = False) -> None:
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM") or shutil.which("chromium"), args=["--no-sandbox"]
        )
        names: list[str] = []
        for size, (width, height) in SIZES.items():
            page = browser.new_page(viewport={"width": width, "height": height})
            page.goto(f"{address}?__theme={'dark' if dark else 'light'}")
            page.get_by_role("tab").first.wait_for()
            names = names or page.get_by_role("tab").all_inner_texts()
            for name in names:
                visit(page, name)
                picture = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
                path = FOLDER / f"{name.lower().replace(' ', '-')}-{size}{'-dark' if dark else ''}.webp"
                picture.save(path, quality=QUALITY, method=6)
                print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
        browser.close()


def visit(page: Page, name: str) -> None:
    """Open a tab and fill it."""
    if not page.get_by_role("tab", name=name).is_visible():
        page.locator(".overflow-menu > button").click()  # tabs that don't fit on a phone
        page.locator(".overflow-dropdown").get_by_role("button", name=name).click()
    else:
        page.get_by_role("tab", name=name).click()
    if name == "Digits":
        page.get_by_role("button", name="Speak").click()
        page.get_by_role("button", name="Eight takes").click()
        page.wait_for_function("document.querySelectorAll('[alt^=\"Waveform and mel\"]').length >= 9")
    elif name == "Vocoder":
        page.locator("#example input").click()
        page.get_by_role("option", name="english").click()
        page.wait_for_timeout(2000)
        page.get_by_role("button", name="Copy", exact=True).click()
        page.wait_for_selector("#measures table", timeout=60_000)
    page.wait_for_timeout(2000)


if __name__ == "__main__":
    main(sys.argv[1], dark="--dark" in sys.argv)
