"""Preimage sums with and without the shortcut for draws that are far from winding round."""

from __future__ import annotations

import math

import pytest
import torch

from skccvae.kernels import preimages


@pytest.mark.parametrize("d", [1, 2, 10, 60])
@pytest.mark.parametrize("scale", [0.02, 0.1, 0.3, 0.6, 2.0])
def test_the_shortcut_only_leaves_out_what_rounding_hides(d, scale, monkeypatch):
    generator = torch.Generator().manual_seed(d)
    eps = torch.randn(200, d, generator=generator, dtype=torch.float64)
    r = scale * eps.norm(dim=-1, keepdim=True)
    precision = scale**-2
    for farthest in (0.5, 2.0, math.pi):  # locations up to the antipode of the origin
        rho = farthest * torch.rand(200, 1, generator=generator, dtype=torch.float64)
        rows = [
            preimages.preimage_ratio(r[i : i + 1], rho[i : i + 1], eps[i : i + 1], precision, 8)
            for i in range(200)
        ]
        with monkeypatch.context() as patch:
            patch.setattr(preimages, "_first_dominates", lambda *_: False)
            sums = preimages.preimage_ratio(r, rho, eps, precision, 8)
        for short, full in zip(zip(*rows, strict=True), sums, strict=True):
            torch.testing.assert_close(torch.cat(short), full, rtol=1e-12, atol=1e-12)


def test_the_shortcut_is_taken_and_left():
    r, E = torch.full((2, 3, 1), 0.5), torch.full((2, 3, 1), 10.0)
    assert preimages._first_dominates(r, E, 10)
    r[1, 2] = 3.1  # close to the antipode of the origin
    assert not preimages._first_dominates(r, E, 10)
    r[1, 2] = 2 * math.pi  # wound round once: k = -2 weighs as much as k = 0
    assert not preimages._first_dominates(r, E, 10)
    r[1, 2] = math.nan
    assert not preimages._first_dominates(r, E, 10)
