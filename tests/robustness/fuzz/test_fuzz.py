"""Run the fuzz targets with Hypothesis in every test run: random bytes and damaged seeds."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from robustness.fuzz.seeds import SEEDS
from robustness.fuzz.targets import TARGETS

PIECES = [
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b";", b",", b"=", b'"', b"\\", b"%", b"/",
    b"HTTP/1.1 200 OK\r\n", b"Content-Length: ", b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n",
    b"\xff", b"\xc3", b"\xe2\x84\xaa", b"99999999999999999999", b"-1", b"0x1",
]  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """One or two seeds with a few parts removed, repeated or overwritten."""
    data = draw(st.sampled_from(seeds))
    if draw(st.booleans()):
        data += draw(st.sampled_from(seeds))[1:]
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 12)))
        filling = draw(st.one_of(st.sampled_from(PIECES), st.binary(max_size=4)))
        how = draw(st.sampled_from(("cut", "put", "over", "twice")))
        if how == "cut":
            data = data[:at] + data[end:]
        elif how == "put":
            data = data[:at] + filling + data[at:]
        elif how == "over":
            data = data[:at] + filling + data[end:]
        else:
            data = data[:end] + data[at:]
    return data


@pytest.mark.parametrize("name", TARGETS)
def test_seeds(name: str) -> None:
    """Each target accepts all seeds, whole and cut at each place, without an unexpected error."""
    for owner, seeds in SEEDS.items():
        for seed in seeds:
            TARGETS[name](seed)
            if owner == name and len(seed) < 300:
                for cut in range(len(seed)):
                    TARGETS[name](seed[:cut])


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_seeds(name: str) -> None:
    """Damaged input is accepted or rejected, without an unexpected error."""

    @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
    @given(data=damaged(SEEDS[name]))
    def check(data: bytes) -> None:
        TARGETS[name](data)

    check()


@pytest.mark.parametrize("name", TARGETS)
def test_noise(name: str) -> None:
    """Random bytes cause no unexpected error."""

    @settings(max_examples=150, deadline=None)
    @given(data=st.one_of(st.binary(max_size=300), st.lists(st.sampled_from(PIECES)).map(b"".join)))
    def check(data: bytes) -> None:
        TARGETS[name](data)

    check()
