"""Checkpoints: after a kill at any byte, the output is restored to complete records."""

from __future__ import annotations

import errno
import gzip
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asks_fast.crawl import checkpoint as checkpoint_module
from asks_fast.crawl.checkpoint import HEADER, SIZE, Checkpoint, CheckpointError, Uint64Set, key_of


def joined(records: Sequence[bytes], is_first: bool) -> bytes:
    return b"".join(records)


def lines(path: Path) -> list[bytes]:
    data = path.read_bytes()
    assert data == b"" or data.endswith(b"\n"), "a torn line"
    return data.splitlines()


@given(st.lists(st.integers(1, 2**64 - 1), max_size=3000))
@settings(max_examples=30, deadline=None)
def test_key_set_is_a_set(keys: list[int]) -> None:
    """For any 64-bit keys, `add`, membership and length agree with those of a set."""
    mine, real = Uint64Set(), set()
    for key in keys:
        assert mine.add(key) is (key not in real)
        real.add(key)
    assert len(mine) == len(real)
    assert all(key in mine for key in real)
    assert all((key ^ 1) in mine or (key ^ 1) not in real for key in real)


def test_keys_are_never_nought() -> None:
    """0 marks a free entry of a Uint64Set; no text has that key."""
    assert key_of("http://a/") == key_of("http://a/") != key_of("http://b/")
    assert all(key_of(str(n)) for n in range(1000))


def test_commit_and_resume(tmp_path: Path) -> None:
    """Committed keys are known after reopening and are not written again."""
    out = tmp_path / "o.jsonl"
    with Checkpoint(out, "jsonl") as checkpoint:
        checkpoint.commit([(1, b"one\n"), (2, b""), (1, b"again\n")], joined)
    with Checkpoint(out, "jsonl", resume=True) as checkpoint:
        assert [key in checkpoint.done for key in (1, 2, 3)] == [True, True, False]
        checkpoint.commit([(2, b"two\n"), (3, b"three\n")], joined)
        assert repr(checkpoint) == f"<Checkpoint {str(out)!r} 3 done, 10 bytes>"
    assert lines(out) == [b"one", b"three"]


def test_two_at_once(tmp_path: Path) -> None:
    """Two writers of one output append in turn, and each key is written once."""
    out = tmp_path / "o.jsonl"
    with Checkpoint(out, "jsonl") as a, Checkpoint(out, "jsonl", resume=True) as b:
        for n in range(1, 50):
            a.commit([(n, b"a%d\n" % n)], joined)
            b.commit([(n, b"b%d\n" % n), (1000 + n, b"c%d\n" % n)], joined)
    assert len(lines(out)) == 98
    assert not [line for line in lines(out) if line.startswith(b"b")]


@given(data=st.data())
@settings(max_examples=120, deadline=None)
def test_cut_anywhere(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """After a kill at any byte of any write, a resumed run has every record once and whole."""
    directory = tmp_path_factory.mktemp("cut")
    out = directory / "o.jsonl"
    batches = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=6))
    with Checkpoint(out, "jsonl") as checkpoint:
        states = []
        key = 0
        for size in batches:
            before = (out.stat().st_size, checkpoint.path.stat().st_size)
            checkpoint.commit(
                [((key := key + 1), b"record %d\n" % key) for _ in range(size)], joined
            )
            states.append((before, (out.stat().st_size, checkpoint.path.stat().st_size)))
    (out_before, led_before), (out_after, led_after) = data.draw(st.sampled_from(states))
    if data.draw(st.booleans()):  # in the middle of the write to the output
        cut = (data.draw(st.integers(out_before, out_after)), led_before)
    else:  # in the middle of the write to the checkpoint
        cut = (out_after, data.draw(st.integers(led_before, led_after)))
    os.truncate(out, cut[0])
    os.truncate(checkpoint.path, cut[1])
    with Checkpoint(out, "jsonl", resume=True) as checkpoint:
        assert out.stat().st_size == checkpoint.end
        for one in range(1, key + 1):
            checkpoint.commit([(one, b"record %d\n" % one)], joined)
    assert lines(out) == [b"record %d" % n for n in range(1, key + 1)]


@given(at=st.integers(0, 400), byte=st.integers(1, 255))
@settings(max_examples=60, deadline=None)
def test_damaged_checkpoint_file(
    tmp_path_factory: pytest.TempPathFactory, at: int, byte: int
) -> None:
    """A flipped byte ends the valid part of the checkpoint; it never adds a key."""
    out = tmp_path_factory.mktemp("damage") / "o.jsonl"
    with Checkpoint(out, "jsonl") as checkpoint:
        for n in range(1, 15):
            checkpoint.commit([(n, b"%d\n" % n)], joined)
        path = checkpoint.path
    data = bytearray(path.read_bytes())
    at = HEADER.size + at % (len(data) - HEADER.size)
    data[at] ^= byte
    path.write_bytes(data)
    whole = (at - HEADER.size) // SIZE
    with Checkpoint(out, "jsonl", resume=True) as checkpoint:
        assert len(checkpoint.done) == whole
    assert lines(out) == [b"%d" % n for n in range(1, whole + 1)]


def test_output_that_lost_its_end(tmp_path: Path) -> None:
    """If the output is shorter than committed (power loss), commits beyond its end do not count."""
    out = tmp_path / "o.jsonl"
    with Checkpoint(out, "jsonl") as checkpoint:
        for n in range(1, 4):
            checkpoint.commit([(n, b"number %d\n" % n)], joined)
    os.truncate(out, 12)
    with Checkpoint(out, "jsonl", resume=True) as checkpoint:
        assert len(checkpoint.done) == 1
    assert lines(out) == [b"number 1"]


@pytest.mark.parametrize("where", ["_output", "_checkpoint_file"])
def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """A write that fails halfway leaves both files unchanged, and the next one works."""
    out = tmp_path / "o.jsonl"
    real = checkpoint_module.write_all_at
    with Checkpoint(out, "jsonl") as checkpoint:
        checkpoint.commit([(1, b"one\n")], joined)

        def full(fd: int, data: bytes, offset: int) -> None:
            if fd == getattr(checkpoint, where):
                real(fd, data[: len(data) // 2], offset)
                raise OSError(errno.ENOSPC, "No space left on device")
            real(fd, data, offset)

        monkeypatch.setattr(checkpoint_module, "write_all_at", full)
        with pytest.raises(OSError, match="No space"):
            checkpoint.commit([(2, b"two\n")], joined)
        assert lines(out) == [b"one"]
        monkeypatch.undo()
        checkpoint.commit([(2, b"two\n")], joined)
    assert lines(out) == [b"one", b"two"]


def test_refusals(tmp_path: Path) -> None:
    """An existing output is not overwritten without the option, nor resumed in another format."""
    out = tmp_path / "o.jsonl"
    with Checkpoint(out, "jsonl") as checkpoint:
        checkpoint.commit([(1, b"one\n")], joined)
    with pytest.raises(CheckpointError, match="--resume continues"):
        Checkpoint(out, "jsonl")
    with pytest.raises(CheckpointError, match="begun as 'jsonl', not 'warc'"):
        Checkpoint(out, "warc", resume=True)
    stranger = tmp_path / "mine.txt"
    stranger.write_text("precious")
    for resume in (False, True):
        with pytest.raises(CheckpointError, match="no checkpoint beside it"):
            Checkpoint(stranger, "jsonl", resume=resume)
    assert stranger.read_text() == "precious"
    Checkpoint(out, "jsonl", overwrite=True).close()
    assert out.read_bytes() == b""


def test_compressed_batches_cut_back(tmp_path: Path) -> None:
    """Each batch is a gzip member, so a file that is cut back is still valid."""
    out = tmp_path / "o.jsonl.gz"

    def packed(records: Sequence[bytes], is_first: bool) -> bytes:
        return gzip.compress(b"".join(records))

    with Checkpoint(out, "jsonl.gz") as checkpoint:
        for n in range(1, 5):
            checkpoint.commit([(n, json.dumps({"n": n}).encode() + b"\n")], packed)
    os.truncate(out, out.stat().st_size - 3)
    Checkpoint(out, "jsonl.gz", resume=True).close()
    rows: list[Any] = [json.loads(line) for line in gzip.decompress(out.read_bytes()).splitlines()]
    assert rows == [{"n": 1}, {"n": 2}, {"n": 3}]
