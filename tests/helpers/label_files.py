"""Label files, and the labels that they give to one video."""

from core.errors import UserError
from dataset_preparation.labels.label_file import read_label_file
from dataset_preparation.labels.options import LabelOptions
from dataset_preparation.labels.types import Extent

RATE = 10


def label(path, content, videos=("clip1",), num_frames=30, **options):
  """Writes a label file and returns the labels of the first video's frames.

  A digit a frame, - for none. Frames are 1 / RATE seconds apart.
  """
  path.write_bytes(content.encode() if isinstance(content, str) else content)
  return label_by(path, videos, num_frames, **options)


def label_by(path, videos=("clip1",), num_frames=30, **options):
  """Does the same with a file that is there."""
  file = read_label_file(LabelOptions(path, **options), videos)
  found = file.find_labels(videos)[videos[0]].label_frames(
    [i / RATE for i in range(num_frames)],
    range(num_frames),
    Extent(num_frames, num_frames / RATE),
  )
  return "".join("-" if x < 0 else str(x) for x in found)


def describe_error(path, content, **options):
  """Returns the message after the file's name."""
  try:
    found = label(path, content, **options)
  except UserError as error:
    message = str(error)
    assert "\n" not in message and message.startswith(f"{path}")
    return message.removeprefix(f"{path}").removeprefix(": ")
  raise AssertionError(f"labels are {found}")
