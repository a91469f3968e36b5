"""The algorithms, by the name that TRAINING_ALGO gives."""

from algos.alignment import Alignment

ALGOS = {
  "alignment": Alignment,
}
