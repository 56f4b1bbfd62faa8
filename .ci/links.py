"""Fail if a page of the built site links to a page, picture or heading that does not exist.

Usage: links.py SITE. `mkdocs build --strict` does not check links that leave docs/, anchors made by
plugins, and whether a page loads anything from another site, which it must not.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src")}


class Page(HTMLParser):
    """The links of one page, and the anchors that links can point to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        # The target of each link, and whether the browser loads it with the page.
        self.links: list[tuple[str, bool]] = []
        self.anchors = {"", "__skip"}
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif name in ("href", "src") and value:
                self.links.append((value, (tag, name) in LOADED))


def faults(site: Path) -> list[str]:
    """Describe each fault in one line."""
    pages = {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}
    found = []
    for path, page in sorted(pages.items()):
        for link, is_loaded in page.links:
            parts = urlsplit(link)
            where = f"{path.relative_to(site)}: {link}"
            if parts.scheme or parts.netloc:
                if is_loaded:
                    found.append(f"{where} is loaded from another site")
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            if not target.is_relative_to(site) or not target.exists():
                found.append(f"{where} does not exist")
            elif target in pages and unquote(parts.fragment) not in pages[target].anchors:
                found.append(f"{where} has no such heading")
    return found


if __name__ == "__main__":
    wrong = faults(Path(sys.argv[1]).resolve())
    print("\n".join(wrong))
    sys.exit(bool(wrong))
