"""What every page must be in every look: accessible, and no wider than the window."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

LOOKS = [(width, scheme) for width in (1280, 360) for scheme in ("light", "dark")]


def check_looks(page: Page, path: str) -> None:
    """Open the page in each width and colour scheme."""
    for width, scheme in LOOKS:
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.goto(path)
        found = Axe().run(page).response["violations"]
        nodes = [(one["id"], node["html"][:200]) for one in found for node in one["nodes"]]
        assert nodes == [], f"{path} {width} {scheme}: {nodes}"
        assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, width, scheme)
