"""Signatures of products."""

from __future__ import annotations

import pytest

from skccvae.manifolds import parse_signature


def test_counts_and_names():
    factors = parse_signature("2s5, E2,h3,s1")
    assert [(f.kind, f.dim, f.name) for f in factors] == [
        ("s", 5, "s0"),
        ("s", 5, "s1"),
        ("e", 2, "e0"),
        ("h", 3, "h0"),
        ("s", 1, "s2"),
    ]
    assert [f.sign for f in factors] == [1, 1, 0, -1, 1]


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "x2",
        "s",
        "2",
        "s2;e2",
        "s0",
        "0s2",
        "s-1",
        "s2,,e2",
        "s2.5",
        "h1 2",
        "1000000s2",
        "\u0663s2",
    ],
)
def test_malformed_signature_shows_a_correct_one(bad):
    with pytest.raises(ValueError, match="'h2,s2,e2' or '3s5,e2'"):
        parse_signature(bad)


def test_signature_must_be_a_string():
    with pytest.raises(TypeError, match="must be a string"):
        parse_signature(3)
