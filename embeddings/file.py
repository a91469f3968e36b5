"""The embeddings file: what the network made of each video, in one archive.

The bytes are an `.npz` archive of plain arrays whatever the file is called, so
that `numpy.load(path)` opens it without this module and without pickles:

    offsets     [N+1] int64   video i is rows offsets[i]:offsets[i+1] of those
                              arrays that have F rows, one a frame
    embs        [F, D] float32
    steps       [F] int64     index of the frame in the source video
    labels      [F] int64     phase of the frame, -1 = none; only where kept
    frames      [F, H, W, 3]  uint8 RGB; only where kept
    names       [N] str
    seq_lens    [N] int64     frames in the source video
    seq_labels  [N] int64     label of the whole video, -1 = none

In memory the videos are a dict of lists under the same keys (no `offsets`),
one entry a video. A key that was not kept is absent: it can't be mistaken for
a list without videos. Of a file by another program, `steps`, `names`,
`seq_lens` and `seq_labels` may be missing.

    videos = embeddings.load("/tmp/embeddings.npy")
    for name, embs in zip(videos["names"], videos["embs"]):
      print(name, embs.shape)
"""

import glob
import os
import zipfile
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from core.errors import UserError
from core.files import atomic_write

Videos = dict[str, list]


class _Array(NamedTuple):
  """What an array of the archive has to be."""

  dtype: type
  ndim: int
  optional: bool = False

  def accepts(self, found: np.ndarray) -> bool:
    """Whether an array will do; of any width, without sign, text as bytes."""
    kind = np.dtype(self.dtype).kind
    kinds = {"i": "iu", "U": "US"}.get(kind, kind)
    return found.dtype.kind in kinds and found.ndim == self.ndim


_PER_FRAME = {
  "embs": _Array(np.float32, 2),
  "steps": _Array(np.int64, 1),
  "labels": _Array(np.int64, 1, optional=True),
  "frames": _Array(np.uint8, 4, optional=True),
}
_PER_VIDEO = {
  "names": _Array(np.str_, 1),
  "seq_lens": _Array(np.int64, 1),
  "seq_labels": _Array(np.int64, 1),
}
_OFFSETS = {"offsets": _Array(np.int64, 1)}
_ARRAYS = _OFFSETS | _PER_VIDEO | _PER_FRAME
# What a file by another program has to hold.
_REQUIRED = ("offsets", "embs")
_OPTIONAL = [key for key, array in _PER_FRAME.items() if array.optional]


def save(path: str | os.PathLike, videos: Videos) -> None:
  """Writes the embeddings of N videos, whole or not at all.

  Nothing is compressed: decoded frames would shrink by a quarter and take
  seven times as long. They are streamed to the file, so that there is no
  second copy in memory.

  Args:
    path: File to write, under any name.
    videos: Lists of N entries: `embs` [L_i, D] float, `steps` [L_i] int,
      `names` str, `seq_lens` int, `seq_labels` int and optionally `labels`
      [L_i] int and `frames` [L_i, H, W, 3] uint8, all of one size. An optional
      list that is missing, None or empty is not kept.

  Raises:
    ValueError: The lists don't fit together.
    UserError: The file can't be written.
  """
  per_frame = {
    key: [np.asarray(entry) for entry in videos[key]]
    for key, array in _PER_FRAME.items()
    if videos.get(key) or not array.optional
  }
  lengths = [len(entry) for entry in per_frame["embs"]]
  _check_lists(videos, per_frame, lengths)
  with (
    atomic_write(path) as temporary,
    zipfile.ZipFile(temporary, "w") as archive,
  ):
    _write(archive, "offsets", [np.cumsum([0, *lengths])], np.int64)
    for key, array in _PER_VIDEO.items():
      _write(archive, key, [np.array(videos[key], array.dtype)], array.dtype)
    for key, entries in per_frame.items():
      _write(archive, key, entries, _PER_FRAME[key].dtype)


def load(path: str | os.PathLike) -> Videos:
  """Reads an embeddings file.

  Args:
    path: A file in the format above, by `save` or by another program. Missing
      `steps` count the rows of a video, `names` are `video 0` and so on,
      `seq_lens` the last step + 1, `seq_labels` -1.

  Returns:
    Lists with one entry a video: `embs` [L_i, D] float32, `steps` [L_i] int64,
    `names` str, `seq_lens` int, `seq_labels` int and, where they were kept,
    `labels` [L_i] int64 and `frames` [L_i, H, W, 3] uint8 RGB.

  Raises:
    UserError: The file is missing or is no embeddings file.
  """
  arrays = _read_arrays(path)
  problem = _problem(arrays)
  if problem:
    raise _not_ours(path, problem)
  arrays = _as_saved(arrays)
  cuts = arrays["offsets"][1:-1]
  videos = {key: arrays[key].tolist() for key in _PER_VIDEO}
  for key in _PER_FRAME:
    if key in arrays:
      videos[key] = np.split(arrays[key], cuts)
  return videos


def _as_saved(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Gives the types that `save` writes, and adds what may be missing."""
  if "names" in arrays and arrays["names"].dtype.kind == "S":
    names = np.strings.decode(arrays["names"], "utf-8", "replace")
    arrays = arrays | {"names": names}
  # What float32 can't hold becomes infinite, which tasks tell of.
  with np.errstate(over="ignore"):
    arrays = {
      key: array.astype(_ARRAYS[key].dtype, copy=False)
      for key, array in arrays.items()
    }
  offsets = arrays["offsets"]
  num_videos = len(offsets) - 1
  if "steps" not in arrays:
    first_rows = np.repeat(offsets[:-1], np.diff(offsets))
    arrays["steps"] = np.arange(offsets[-1]) - first_rows
  of_videos = np.split(arrays["steps"], offsets[1:-1])
  defaults = {
    "names": np.array([f"video {i}" for i in range(num_videos)]),
    "seq_lens": np.array([steps.max(initial=-1) + 1 for steps in of_videos]),
    "seq_labels": np.full(num_videos, -1),
  }
  return defaults | arrays


def load_many(pattern: str | os.PathLike) -> Videos:
  """Reads the videos of all embeddings files that match a pattern.

  Args:
    pattern: The path of one file, or a pattern such as `/tmp/embs_*.npy`, whose
      files are read in alphabetical order.

  Returns:
    The same as `load`, the videos of all files one after the other.

  Raises:
    UserError: No file matches, one is no embeddings file, or they don't go
      together: different embedding sizes, labels or frames only in some.
  """
  pattern = os.fspath(pattern)
  # A file may have brackets in its name.
  paths = [pattern] if os.path.exists(pattern) else sorted(glob.glob(pattern))
  if not paths:
    return load(pattern)  # Says what is missing and how to make it.
  loaded = [load(path) for path in paths]
  for path, videos in zip(paths[1:], loaded[1:], strict=True):
    _check_compatible(paths[0], loaded[0], path, videos)
  return {
    key: [entry for videos in loaded for entry in videos[key]]
    for key in loaded[0]
  }


def check_same_size(
  first_path: str, first: Videos, path: str, videos: Videos
) -> None:
  """Checks that the embeddings of two files have equally many dimensions.

  Args:
    first_path: The first file, for the message.
    first: What it holds.
    path: The second file, for the message.
    videos: What it holds.

  Raises:
    UserError: They have not.
  """
  sizes = [part["embs"][0].shape[1] for part in (first, videos)]
  if sizes[0] != sizes[1]:
    raise UserError(
      f"{path}: its embeddings have {sizes[1]} dimensions, those of"
      f" {first_path} have {sizes[0]}; extract both with one model"
    )


def _check_lists(
  videos: Videos, per_frame: dict[str, list], lengths: list[int]
) -> None:
  if not lengths:
    raise ValueError("Expected at least one video to save. Received: none")
  for key in _PER_VIDEO:
    if len(videos[key]) != len(lengths):
      raise ValueError(
        f"Expected one entry of `{key}` for each of the {len(lengths)} videos."
        f" Received: {len(videos[key])}"
      )
  for key, entries in per_frame.items():
    rows = [len(entry) for entry in entries]
    if rows != lengths:
      raise ValueError(
        f"Expected as many rows of `{key}` as of `embs`, {lengths}."
        f" Received: {rows}"
      )
    shapes = {entry.shape[1:] for entry in entries}
    if len(shapes) > 1 or entries[0].ndim != _PER_FRAME[key].ndim:
      raise ValueError(
        f"Expected rows of one shape and {_PER_FRAME[key].ndim} dimensions in"
        f" `{key}`. Received: {[entry.shape for entry in entries]}"
      )
  types = {entry.dtype.name for entry in per_frame.get("frames", [])}
  if types - {"uint8"}:
    raise ValueError(f"Expected `frames` of type uint8. Received: {types}")


def _write(
  archive: zipfile.ZipFile, key: str, entries: Sequence[np.ndarray], dtype: type
) -> None:
  """Writes one array, given in pieces along its first axis."""
  descr = np.lib.format.dtype_to_descr(
    entries[0].dtype if dtype is np.str_ else np.dtype(dtype)
  )
  rows = sum(len(entry) for entry in entries)
  header = {
    "descr": descr,
    "fortran_order": False,
    "shape": (rows, *entries[0].shape[1:]),
  }
  with archive.open(f"{key}.npy", "w", force_zip64=True) as stream:
    np.lib.format.write_array_header_1_0(stream, header)
    for entry in entries:
      piece = np.ascontiguousarray(entry, dtype=descr)
      stream.write(piece.reshape(-1).view(np.uint8))


def _read_arrays(path: str | os.PathLike) -> dict[str, np.ndarray]:
  try:
    archive = np.load(path, allow_pickle=False)
    if not isinstance(archive, np.lib.npyio.NpzFile):
      raise _not_ours(path, "a single array")
    with archive:
      return {key: archive[key] for key in _ARRAYS if key in archive}
  except FileNotFoundError as error:
    raise UserError(
      f"{path}: no such embeddings file; make it with extract_embeddings.py"
      f" --save_path {path}"
    ) from error
  except PermissionError as error:
    raise UserError(f"{path}: can't be read; change its permissions") from error
  except IsADirectoryError as error:
    raise _not_ours(path, "a folder") from error
  except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
    raise _not_ours(path, "a pickle, another format or damaged") from error


def _not_ours(path: str | os.PathLike, why: str) -> UserError:
  return UserError(
    f"{path}: expected an embeddings file, an .npz archive of plain arrays, but"
    f" it is {why}; make one with extract_embeddings.py --save_path FILE, or"
    " write one as docs/training_and_evaluation.md shows"
  )


def _problem(arrays: dict[str, np.ndarray]) -> str | None:
  """Says what keeps the arrays from being an embeddings file, if anything."""
  for key, wanted in _ARRAYS.items():
    if key not in arrays:
      if key in _REQUIRED:
        return f"an archive without `{key}`"
      continue
    found = arrays[key]
    if not wanted.accepts(found):
      return (
        f"an archive whose `{key}` is {found.dtype} with {found.ndim}"
        f" dimensions, not {np.dtype(wanted.dtype)} with {wanted.ndim}"
      )
  offsets = arrays["offsets"].astype(np.int64)
  if len(offsets) < 2 or offsets[0] != 0 or np.any(np.diff(offsets) < 0):
    return "an archive whose `offsets` don't rise from 0"
  for key in [*_PER_VIDEO, *_PER_FRAME]:
    expected = len(offsets) - 1 if key in _PER_VIDEO else int(offsets[-1])
    if key in arrays and len(arrays[key]) != expected:
      return (
        f"an archive with {len(arrays[key])} rows of `{key}` where `offsets`"
        f" says {expected}"
      )
  if "frames" in arrays and arrays["frames"].shape[-1] != 3:
    return f"an archive whose `frames` have shape {arrays['frames'].shape}"
  if not arrays["embs"].size:
    return f"an archive whose `embs` have shape {arrays['embs'].shape}"
  return None


def _check_compatible(
  first_path: str, first: Videos, path: str, videos: Videos
) -> None:
  check_same_size(first_path, first, path, videos)
  for key in _OPTIONAL:
    if (key in first) != (key in videos):
      has, lacks = (first_path, path) if key in first else (path, first_path)
      flag = {"labels": "--keep_labels", "frames": "--keep_data"}[key]
      raise UserError(
        f"{lacks}: holds no {key} while {has} does; extract both with {flag} or"
        " narrow the pattern"
      )
