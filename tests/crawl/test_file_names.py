"""The names of saved files: harmless, readable, one for each URL."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asks_fast.crawl.file_names import file_name


@given(st.text(max_size=60), st.text(max_size=60))
def test_file_names_are_harmless(path: str, other: str) -> None:
    """Every URL has a relative name inside the directory, different from that of other URLs."""
    name = file_name("http://a/" + path)
    pieces = name.split("/")
    assert ".." not in pieces
    assert not name.startswith("/")
    assert all(0 < len(piece.encode()) < 400 and "\0" not in piece for piece in pieces)
    assert path == other or file_name("http://a/" + other) != name


def test_file_names_are_readable() -> None:
    """A file name contains host, path and suffix of the URL."""
    name = file_name("http://a.com/docs/paper.pdf?x=1")
    assert name.startswith("a.com_80/docs/paper-")
    assert name.endswith(".pdf")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://a.com/docs/paper.pdf", "a.com/docs/paper.pdf"),
        ("http://a.com/docs/paper.pdf", "a.com_80/docs/paper.pdf"),
        ("http://127.0.0.1:8000/logo.png", "127.0.0.1_8000/logo.png"),
        ("http://a:8080/x.tar.gz", "a_8080/x.tar.gz"),
    ],
)
def test_plain_file_names(url: str, name: str) -> None:
    """A URL keeps its own path if no other URL can have the same name."""
    assert file_name(url) == name


@pytest.mark.parametrize(
    "other",
    [
        "https://a/x.txt?",
        "https://a/x.txt#f",
        "https://a//x.txt",
        "https://a/./x.txt",
        "https://a:443/x.txt",
        "https://A/x.txt",
        "https://u@a/x.txt",
        "http://a/x.txt",
        "https://a/x",
        "https://a/x.txt/",
        "https://a/%78.txt",
        "https://a/x.txt/y.txt",
        "ftp://a/x.txt",
    ],
)
def test_plain_file_names_do_not_collide(other: str, tmp_path: Path) -> None:
    """Different URLs have different files that can exist side by side."""
    for url in ("https://a/x.txt", other):
        path = tmp_path / file_name(url, "text/plain")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x") as file:
            file.write(url)


@given(
    st.sets(
        st.builds(
            "{}://{}/{}".format,
            st.sampled_from(["http", "https"]),
            st.sampled_from(["a", "a_80", "a:80", "a:8080", "a_8080"]),
            st.text("ab._/-?%", max_size=8),
        ),
        max_size=30,
    )
)
def test_file_names_are_unique(urls: set[str]) -> None:
    """No two URLs share a file, and no file has the name of a directory."""
    # One port speaks one protocol: no list has both of these with answers.
    urls = {url for url in urls if not url.startswith(("https://a:80/", "https://a:8080"))}
    names = [file_name(url, "text/html") for url in urls]
    assert len(set(names)) == len(names)
    directories = {"/".join(n.split("/")[:k]) for n in names for k in range(1, n.count("/") + 1)}
    assert not directories & set(names)


def test_index_pages_have_a_suffix() -> None:
    """A page without a suffix gets that of its media type."""
    assert file_name("http://a.com/", "text/html").endswith(".html")
