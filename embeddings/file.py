"""The embeddings file: what the network made of each video, in one archive.

The bytes are an `.npz` archive of plain arrays whatever the file is called, so
that `numpy.load(path)` opens it without this module and without pickles:

    offsets     [N+1] int64   video i is rows offsets[i]:offsets[i+1] of those
                              arrays that have F rows, one a frame
    embs        [F, D] float32
    steps       [F] int64     index of the frame in the source video
    labels      [F] int64     phase of the frame, -1 = none; only where kept
    frames      [F, H, W, 3]  uint8 RGB; only where kept
    times       [F] float64   seconds since the first frame of the source video,
                              NaN = not known; only where known
    names       [N] str
    seq_lens    [N] int64     frames in the source video
    seq_labels  [N] int64     label of the whole video, -1 = none
    sources     [N] str       video file or folder, empty = not known; only
                              where known
    class_names [C] str       names of the phases 0 to C-1; only where known

In memory the videos are a dict of lists under the same keys, one entry a video,
without `offsets` and `class_names`. A key that was not kept is absent: it can't
be mistaken for a list without videos. Of a file by another program, `steps`,
`names`, `seq_lens` and `seq_labels` may be missing.

    videos = embeddings.load("/tmp/embeddings.npy")
    for name, embs in zip(videos["names"], videos["embs"]):
      print(name, embs.shape)
"""

import glob
import itertools
import os
import zipfile
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from core.errors import UserError
from core.files import atomic_write
from embeddings.types import AnyVideos, EmbeddedSplit, Videos


class _Array(NamedTuple):
  """An array of the archive."""

  dtype: type
  kinds: str  # of types that are taken from other programs, in any width
  ndim: int


_INTEGERS = _Array(np.int64, "iu", 1)
_TEXTS = _Array(np.str_, "US", 1)
_PER_VIDEO = {
  "names": _TEXTS,
  "seq_lens": _INTEGERS,
  "seq_labels": _INTEGERS,
  "sources": _TEXTS,
}
_PER_FRAME = {
  "embs": _Array(np.float32, "f", 2),
  "steps": _INTEGERS,
  "labels": _INTEGERS,
  "frames": _Array(np.uint8, "u", 4),
  "times": _Array(np.float64, "f", 1),
}
_ARRAYS = {"offsets": _INTEGERS} | _PER_VIDEO | _PER_FRAME
_ARRAYS |= {"class_names": _TEXTS}
_OPTIONAL = {"labels", "frames", "times", "sources"}


def save(path: str | os.PathLike, videos: AnyVideos) -> None:
  """Write the embeddings of N videos, whole or not at all.

  Nothing is compressed: decoded frames would shrink by a quarter and take
  seven times as long. They are streamed to the file, so that there is no
  second copy in memory.

  Args:
    path: File to write, under any name.
    videos: A split, or lists of N entries: `embs` [L_i, D] float, `steps` [L_i]
      int, `names` str, `seq_lens` int, `seq_labels` int and optionally `labels`
      [L_i] int, `frames` [L_i, H, W, 3] uint8, all of one size, `times` [L_i]
      float and `sources` str. An optional list that is missing, None or empty
      is not kept.

  Raises:
    ValueError: The lists don't fit together.
    UserError: The file can't be written.
  """
  class_names: Sequence[str] = ()
  if isinstance(videos, EmbeddedSplit):
    class_names, videos = videos.class_names, videos.to_lists()
  per_frame, per_video = (
    [key for key in keys if videos.get(key) or key not in _OPTIONAL]
    for keys in (_PER_FRAME, _PER_VIDEO)
  )
  pieces = {k: [np.asarray(entry) for entry in videos[k]] for k in per_frame}
  lengths = [len(embs) for embs in pieces["embs"]]
  for key in per_frame:
    _check_pieces(key, pieces[key], lengths)
  for key in per_video:
    pieces[key] = [np.array(videos[key], _ARRAYS[key].dtype)]
    _check_pieces(key, pieces[key], [len(lengths)])
  pieces["offsets"] = [np.cumsum([0, *lengths])]
  pieces["class_names"] = [np.array(class_names)] if class_names else []
  with atomic_write(path) as part, zipfile.ZipFile(part, "w") as archive:
    for key in filter(pieces.get, _ARRAYS):
      _write_array(archive, key, pieces[key])


def load(path: str | os.PathLike) -> Videos:
  """Read an embeddings file.

  Args:
    path: A file in the format above, by `save` or by another program. Missing
      `steps` count the rows of a video, `names` are `video 0` and so on,
      `seq_lens` the last step + 1, `seq_labels` -1.

  Returns:
    Lists with one entry a video: `embs` [L_i, D] float32, `steps` [L_i] int64,
    `names` str, `seq_lens` int, `seq_labels` int and, where they were kept,
    `labels` [L_i] int64 and `frames` [L_i, H, W, 3] uint8 RGB; where they are
    known, `times` [L_i] float64 and `sources` str.

  Raises:
    UserError: The file is missing or is no embeddings file.
  """
  return _load_split(path).to_lists()


def _load_split(path: str | os.PathLike) -> EmbeddedSplit:
  """Read an embeddings file, see `load`."""
  arrays = _read_arrays(path)
  for key, array in arrays.items():
    if array.dtype.kind == "S":
      arrays[key] = np.strings.decode(array, "utf-8", "replace")
  # What float32 can't hold becomes infinite, which tasks tell of.
  with np.errstate(over="ignore"):
    for key, array in arrays.items():
      arrays[key] = array.astype(_ARRAYS[key].dtype, copy=False)
  cuts = arrays["offsets"][1:-1]
  kept = [key for key in _PER_FRAME if key in arrays]
  videos = {key: np.split(arrays[key], cuts) for key in kept}
  videos |= {key: arrays[key].tolist() for key in _PER_VIDEO if key in arrays}
  names = arrays["class_names"].tolist() if "class_names" in arrays else []
  return EmbeddedSplit.from_lists(videos | {"class_names": names})


def load_many(pattern: str | os.PathLike) -> EmbeddedSplit:
  """Read the videos of all embeddings files that match a pattern.

  Args:
    pattern: The path of one file, or a pattern such as `/tmp/embs_*.npy`, whose
      files are read in alphabetical order.

  Returns:
    The videos of all files one after the other; the names of phases, unless
    files name them differently.

  Raises:
    UserError: No file matches, one is no embeddings file, or they don't go
      together: different embedding sizes, or frames only in some.
  """
  pattern = os.fspath(pattern)
  # A file may have brackets in its name; a missing one is told by `load`.
  matches = [] if os.path.exists(pattern) else sorted(glob.glob(pattern))
  paths = matches or [pattern]
  loaded = [_load_split(path) for path in paths]
  for path, split in zip(paths[1:], loaded[1:], strict=True):
    check_same_size(paths[0], loaded[0], path, split)
    lacking = [part.videos[0].frames is None for part in (loaded[0], split)]
    if lacking[0] != lacking[1]:
      has, lacks = (path, paths[0]) if lacking[0] else (paths[0], path)
      raise UserError(
        f"{lacks}: expected frames, which {has} holds, received none; extract"
        " both with --keep_data or narrow the pattern"
      )
  videos = itertools.chain.from_iterable(split.videos for split in loaded)
  names = {split.class_names for split in loaded if split.class_names}
  return EmbeddedSplit([*videos], names.pop() if len(names) == 1 else ())


def check_same_size(
  first_path: str, first: EmbeddedSplit, path: str, split: EmbeddedSplit
) -> None:
  """Check that the embeddings of two files have equally many dimensions.

  Args:
    first_path: The first file, for the message.
    first: What it holds.
    path: The second file, for the message.
    split: What it holds.

  Raises:
    UserError: They have not.
  """
  sizes = (part.videos[0].embs.shape[1] for part in (first, split))
  expected, received = sizes
  if expected != received:
    raise UserError(
      f"{path}: expected embeddings of {expected} dimensions, those of"
      f" {first_path}, received {received}; extract both with one model"
    )


def _check_pieces(
  key: str, pieces: Sequence[np.ndarray], lengths: Sequence[int]
) -> None:
  """Check that pieces are those of one array, of so many rows each."""
  ndim = _ARRAYS[key].ndim
  shapes = [piece.shape for piece in pieces]
  has_lengths = [shape[:1] for shape in shapes] == [(n,) for n in lengths]
  has_one_shape = len({shape[1:] for shape in shapes}) == 1
  if not (has_lengths and has_one_shape and len(shapes[0]) == ndim):
    raise ValueError(
      f"{key}: expected arrays of one shape with {ndim} dimensions and"
      f" {lengths} rows, at least one, received {shapes}"
    )
  types = {piece.dtype.name for piece in pieces}
  if key == "frames" and types != {"uint8"}:
    raise ValueError(f"{key}: expected uint8, received {types}")


def _write_array(
  archive: zipfile.ZipFile, key: str, pieces: Sequence[np.ndarray]
) -> None:
  """Write one array, given in pieces along its first axis."""
  dtype = np.dtype(_ARRAYS[key].dtype)
  if dtype.kind == "U":  # As long as the longest text.
    dtype = pieces[0].dtype
  descr = np.lib.format.dtype_to_descr(dtype)
  shape = (sum(map(len, pieces)), *pieces[0].shape[1:])
  header = {"descr": descr, "fortran_order": False, "shape": shape}
  with archive.open(f"{key}.npy", "w", force_zip64=True) as stream:
    np.lib.format.write_array_header_1_0(stream, header)
    for piece in pieces:
      values = np.ascontiguousarray(piece, dtype).reshape(-1)
      stream.write(values.view(np.uint8))


def _read_arrays(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """Read and check the arrays of a file."""
  try:
    archive = np.load(path, allow_pickle=False)
    if isinstance(archive, np.lib.npyio.NpzFile):
      with archive:
        arrays = {key: archive[key] for key in _ARRAYS if key in archive}
      problem = _find_problem(arrays)
    else:
      problem = "a single array"
  except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
    reason = getattr(error, "strerror", None)  # Of the system's errors.
    problem = reason or "a pickle, another format or a damaged file"
  if problem:
    raise UserError(
      f"{path}: expected an embeddings file, an .npz archive of plain arrays,"
      f" received {problem}; make one with extract_embeddings.py --save_path"
      " FILE, or write one as docs/training_and_evaluation.md shows"
    )
  return arrays


def _find_problem(arrays: Mapping[str, np.ndarray]) -> str | None:
  """Say what keeps the arrays from being an embeddings file, if anything."""
  for key in ("offsets", "embs"):
    if key not in arrays:
      return f"an archive without `{key}`"
  for key, array in arrays.items():
    dtype, kinds, ndim = _ARRAYS[key]
    if array.dtype.kind not in kinds or array.ndim != ndim:
      return (
        f"`{key}` of {array.dtype} with {array.ndim} dimensions, not"
        f" {np.dtype(dtype)} with {ndim}"
      )
  offsets = arrays["offsets"].astype(np.int64)
  if len(offsets) < 2 or offsets[0] != 0 or np.any(np.diff(offsets) < 0):
    return "`offsets` that don't rise from 0"
  expected = dict.fromkeys(_PER_VIDEO, len(offsets) - 1)
  expected |= dict.fromkeys(_PER_FRAME, int(offsets[-1]))
  for key, rows in expected.items():
    if key in arrays and len(arrays[key]) != rows:
      return f"{len(arrays[key])} rows of `{key}` where `offsets` says {rows}"
  if "frames" in arrays and arrays["frames"].shape[-1] != 3:
    return f"`frames` of shape {arrays['frames'].shape}"
  if not arrays["embs"].size:
    return f"`embs` of shape {arrays['embs'].shape}"
  return None
