"""The algorithms, by the name that TRAINING_ALGO gives."""

from algos.alignment import Alignment
from algos.alignment_sal_tcn import AlignmentSalTcn
from algos.classification import Classification
from algos.sal import Sal
from algos.tcn import Tcn

ALGOS = {
  "alignment": Alignment,
  "sal": Sal,
  "tcn": Tcn,
  "alignment_sal_tcn": AlignmentSalTcn,
  "classification": Classification,
}
