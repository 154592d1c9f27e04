"""The map of AlphaSteer (Sheng et al., arXiv 2506.07022): a push that benign states hardly feel."""

import torch
from jaxtyping import Float
from torch import Tensor

from steering.activations.moments import Moments, solve_positive

RIDGE = 10.0
NULL_SHARE = 0.5
"""Share of the directions that the map may read: those in which benign states have the least energy. Published: 0.3 to
0.6."""


def null_space_projector(benign: Moments, share: float = NULL_SHARE) -> Float[Tensor, "layers d_model d_model"]:
    """`P̂`, the projection onto the eigenvectors of the benign states' Gram matrix with the smallest eigenvalues."""
    if not 0 < share < 1:
        raise ValueError(f"share should be between 0 and 1, found {share!r}")
    vectors: Tensor = torch.linalg.eigh(_gram(benign)).eigenvectors  # in ascending order of the eigenvalues
    null = vectors[..., : max(1, round(share * vectors.shape[-1]))]
    return null @ null.mT


def null_space_reader(
    projector: Float[Tensor, "layers d_model d_model"], harmful: Moments, ridge: float = RIDGE
) -> Float[Tensor, "layers d_model"]:
    """`w` with `w·h ≈ 1` on harmful states, and about 0 on benign ones.

    AlphaSteer fits `Δ = argmin Σ ‖Δ P̂ h - r‖² + ridge ‖Δ P̂‖²` over the harmful states, all towards the one refusal
    direction r. The solution is `Δ P̂ = r wᵀ` with `w = P̂ (P̂ G P̂ + ridge 1)⁻¹ P̂ Σ h` and `G = Σ h hᵀ`: a matrix of
    rank one, of which w is all that there is to store. `steering.interventions.add_mapped` applies it.
    """
    seen = projector @ _gram(harmful) @ projector
    identity = torch.eye(seen.shape[-1], dtype=seen.dtype)
    total = (projector @ (harmful.count * harmful.mean).unsqueeze(-1)).squeeze(-1)
    solved = solve_positive(seen + ridge * identity, total)
    return (projector @ solved.unsqueeze(-1)).squeeze(-1)


def _gram(moments: Moments) -> Float[Tensor, "layers d_model d_model"]:
    """`Σ h hᵀ`, not centred."""
    mean = moments.mean
    return moments.scatter + moments.count * mean.unsqueeze(-1) * mean.unsqueeze(-2)
