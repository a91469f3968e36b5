"""Temporal cycle-consistency losses for embeddings of sequences.

The library needs TensorFlow and NumPy only and knows nothing of videos: it
takes embeddings `[N, T, D]` of N sequences of the same process and returns a
scalar that is small when the sequences can be aligned by nearest neighbors.

Reference: Dwibedi et al., "Temporal Cycle-Consistency Learning", CVPR 2019
(arXiv 1904.07846).
"""

from tcc.alignment import compute_alignment_loss
from tcc.deterministic_alignment import (
  align_pair_of_sequences,
  compute_deterministic_alignment_loss,
)
from tcc.stochastic_alignment import compute_stochastic_alignment_loss

__all__ = [
  "align_pair_of_sequences",
  "compute_alignment_loss",
  "compute_deterministic_alignment_loss",
  "compute_stochastic_alignment_loss",
]
