"""Generates a synthetic data set of pouring videos, with annotations.

python -m dataset_preparation.synthetic_pouring --output_dir /tmp/pouring
"""

import pathlib
import sys

# Run by its path, this file finds its siblings but not the checkout.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from absl import flags, logging

from core import command_line
from dataset_preparation.synthetic_pouring.generation import generate_dataset


def main() -> None:
  """Generate the data set that the flags describe."""
  args = flags.FLAGS
  numbers = args.num_train, args.num_val, args.seed
  labels = generate_dataset(args.output_dir, *numbers)
  logging.info("%d videos and labels.json in %s", len(labels), args.output_dir)


if __name__ == "__main__":
  command_line.define_path(
    "output_dir",
    "/tmp/synthetic_pouring",
    "Folder for train/*.mp4, val/*.mp4 and labels.json; made if missing.",
  )
  flags.DEFINE_integer("num_train", 60, "Number of training videos.")
  flags.DEFINE_integer("num_val", 14, "Number of validation videos.")
  flags.DEFINE_integer(
    "seed", 0, "Number from 0; the same one gives the same videos."
  )
  command_line.run(main)
