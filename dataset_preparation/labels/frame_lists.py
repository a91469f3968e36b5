"""One phase for every frame of the source, as a JSON list or NumPy array.

{video: [phase, phase, ...]}

An array, a `.npy` file, holds the phases of one video.
"""

import functools
import io
from collections.abc import Sequence

import numpy as np

from dataset_preparation.labels.content import Content, Parsers
from dataset_preparation.labels.phases import Labeling
from dataset_preparation.labels.types import LabeledFrames


def parse_frame_list(
  phases: Sequence[object], where: str, labeling: Labeling
) -> LabeledFrames:
  """Read the list of one video.

  Args:
    phases: One a frame.
    where: File and video, for messages.
    labeling: How videos are labeled.

  Returns:
    The labels.

  Raises:
    UserError: A value is no phase.
  """
  number = labeling.number
  numbers = [number(x, f"{where}, frame {i}") for i, x in enumerate(phases)]
  return LabeledFrames(where, numbers, labeling.options.resample_labels)


def is_array(content: Content) -> bool:
  """Whether this is a `.npy` file."""
  return content.data.startswith(b"\x93NUMPY")


def read_array(content: Content) -> Parsers:
  """Return the parser of the one video, which has no name here.

  Raises:
    ValueError: The array is empty or has several dimensions, or pickled
      objects.
  """
  array = np.load(io.BytesIO(content.data), allow_pickle=False)
  if array.ndim != 1 or not array.size:
    raise ValueError(f"an array of shape {array.shape}, not [frames]")
  if array.dtype.kind == "f" and (array == np.rint(array)).all():
    array = array.astype(np.int64)
  return {"": functools.partial(parse_frame_list, array.tolist())}
