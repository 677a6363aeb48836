r"""
How much room curvature leaves
==============================

In a space of constant curvature K and dimension d, the sphere of radius r around a point has the
area of the unit sphere times :math:`\sin_K(r)^{d-1}`. That single function distinguishes the
geometries: room grows exponentially if K < 0, and comes to an end if K > 0. It is smooth in K
through zero, which is why one search can cover both signs.
"""

import matplotlib.pyplot as plt
import torch

from skccvae.special import sin_k

curvatures = [-1.0, -0.5, 0.0, 0.5, 1.0]
colours = ["#08519c", "#6baed6", "#525252", "#fdae6b", "#d94801"]
r = torch.linspace(0.0, 3.0, 301, dtype=torch.float64)

fig, axes = plt.subplots(1, 2, figsize=(9, 3.8), constrained_layout=True)
for ax, d in zip(axes, (2, 5), strict=True):
    for K, colour in zip(curvatures, colours, strict=True):
        ax.plot(r, sin_k(r, K) ** (d - 1), color=colour, label=f"K = {K:g}", linewidth=2)
    ax.set_yscale("log")
    ax.set_ylim(1e-3, 1e5 if d == 5 else 20)
    ax.set_xlabel("distance r")
    ax.set_title(f"d = {d}")
axes[0].set_ylabel(r"$\sin_K(r)^{d-1}$")
axes[0].legend(frameon=False)
plt.show()

# %%
# At d = 5 the area at distance 3 is 120 times as large for K = -1 as for K = 0,
# while the sphere of curvature 1 has nearly closed up. A prior of scale one reaches distances of
# about sqrt(d), so the same K is a stronger curvature in a higher dimension.
