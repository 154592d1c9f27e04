"""The map of AlphaSteer (Sheng et al., arXiv 2506.07022): a push that benign activations hardly feel."""

import torch
from einops import einsum
from torch import Tensor

from steering.activations.moments import Matrices, Moments, Vectors, solve_positive

RIDGE = 10.0
NULL_SHARE = 0.5
"""Share of the directions that the map may read: those in which benign activations have the least energy. Published:
0.3 to 0.6."""


def null_space_projector(benign: Moments, share: float = NULL_SHARE) -> Matrices:
    """`P̂`, the projection onto this share of the eigenvectors of the benign `Σ h hᵀ`: the smallest eigenvalues'."""
    vectors: Tensor = torch.linalg.eigh(benign.gram).eigenvectors  # in ascending order of the eigenvalues
    null = vectors[..., : max(1, round(share * vectors.shape[-1]))]
    return einsum(null, null, "layer i vector, layer j vector -> layer i j")


def null_space_reader(projector: Matrices, harmful: Moments, ridge: float = RIDGE) -> Vectors:
    """`w` with `w·h ≈ 1` on harmful activations, and about 0 on benign ones.

    AlphaSteer fits `Δ = argmin Σ ‖Δ P̂ h - r‖² + ridge ‖Δ P̂‖²` over the harmful activations, all towards the one refusal
    direction r. The solution is `Δ P̂ = r wᵀ` with `w = P̂ (P̂ G P̂ + ridge 1)⁻¹ P̂ Σ h` and `G = Σ h hᵀ`: a matrix of
    rank one, of which w is all that there is to store. `steering.interventions.add_mapped` applies it.
    """
    seen = projector @ harmful.gram @ projector
    identity = torch.eye(seen.shape[-1], dtype=seen.dtype)
    total = einsum(projector, harmful.count * harmful.mean, "layer i j, layer j -> layer i")
    solved = solve_positive(seen + ridge * identity, total)
    return einsum(projector, solved, "layer i j, layer j -> layer i")
