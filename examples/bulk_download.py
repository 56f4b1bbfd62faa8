"""Download many files, a few at a time, with a progress bar for each; no file is left incomplete.

    python examples/bulk_download.py DIRECTORY URL...

Existing files are skipped, and partial ones (NAME.part) are continued. Bodies are streamed, so
their size does not matter.
Needs rich: pip install rich
"""

from __future__ import annotations

import sys
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import curio
from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

from asks_fast import AsksException, DSession
from asks_fast import Progress as TransferProgress

MAX_DOWNLOADS = 4


async def download(session: DSession, url: str, path: Path, bars: Progress) -> None:
    """Download one file, or the rest of it, and show how far it is."""
    bar = bars.add_task(path.name, total=None)

    def show(progress: TransferProgress) -> None:
        bars.update(bar, completed=progress.transferred, total=progress.total)

    try:
        await session.download(url, path, progress=show)
    except BaseException:
        bars.remove_task(bar)
        raise


async def worker(
    session: DSession, urls: list[str], directory: Path, progress: Progress, failed: list[str]
) -> None:
    """Download URLs until none is left."""
    while urls:
        url = urls.pop()
        name = unquote(PurePosixPath(urlsplit(url).path).name).replace("/", "_")
        path = directory / (name or "index.html")
        if path.exists():
            continue
        try:
            await download(session, url, path, progress)
        except (AsksException, OSError) as error:
            failed.append(url)
            progress.console.print(f"{url}: {error}", markup=False)


async def main(directory: Path, urls: list[str]) -> list[str]:
    """Download all files; return the URLs that failed."""
    directory.mkdir(parents=True, exist_ok=True)
    failed: list[str] = []
    waiting = urls[::-1]
    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn())
    async with DSession(connections=MAX_DOWNLOADS, read_timeout=30) as session:
        with Progress(*columns) as progress:
            async with curio.TaskGroup() as group:
                for _ in range(MAX_DOWNLOADS):
                    await group.spawn(worker, session, waiting, directory, progress, failed)
    return failed


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(1 if curio.run(main, Path(sys.argv[1]), sys.argv[2:]) else 0)
