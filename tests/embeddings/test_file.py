import pickle

import numpy as np
import pytest

import embeddings
from core.errors import UserError
from embeddings import file
from embeddings.types import EmbeddedSplit
from tests.helpers.errors import message_of


def some_videos(lengths=(5, 3, 9), size=4, seed=0, labels=True, frames=True):
  rng = np.random.default_rng(seed)
  videos = {
    "embs": [rng.normal(size=(n, size)).astype(np.float32) for n in lengths],
    "steps": [2 * np.arange(n) for n in lengths],
    "names": [f"vidéo {seed}_{i}" for i in range(len(lengths))],
    "seq_lens": [2 * n for n in lengths],
    "seq_labels": [-1, 7, 0, 1, 2][: len(lengths)],
  }
  if labels:
    videos["labels"] = [rng.integers(-1, 5, n) for n in lengths]
  if frames:
    videos["frames"] = [
      rng.integers(0, 256, (n, 6, 8, 3)).astype(np.uint8) for n in lengths
    ]
  return videos


def assert_same(found, expected):
  assert set(found) == set(expected)
  for key, entries in expected.items():
    assert isinstance(found[key], list) and len(found[key]) == len(entries)
    for a, b in zip(found[key], entries, strict=True):
      np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["embeddings.npy", "e.npz", "plain", "e.pkl"])
def test_round_trip_under_any_name(tmp_path, name):
  videos = some_videos()
  embeddings.save(tmp_path / name, videos)
  found = embeddings.load(tmp_path / name)
  assert_same(found, videos)
  assert [p.name for p in tmp_path.iterdir()] == [name]
  types = {key: type(entries[0]) for key, entries in found.items()}
  array = dict.fromkeys(["embs", "steps", "labels", "frames"], np.ndarray)
  assert types == array | {"names": str, "seq_lens": int, "seq_labels": int}
  dtypes = " ".join(found[key][2].dtype.name for key in array)
  assert dtypes == "float32 int64 int64 uint8"


@pytest.mark.parametrize("lengths", [(5, 3, 9), (4,), (0, 4), (4, 0, 1)])
@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("frames", [False, True])
@pytest.mark.parametrize("nothing", [{}, {"labels": [], "frames": None}])
def test_what_was_not_kept_is_absent(
  tmp_path, lengths, labels, frames, nothing
):
  """Also of one video, and where a video has no frames."""
  videos = some_videos(lengths, labels=labels, frames=frames)
  embeddings.save(tmp_path / "e.npy", nothing | videos)
  assert_same(embeddings.load(tmp_path / "e.npy"), videos)


def test_times_and_sources_are_kept_where_they_are_known(tmp_path):
  known, unknown = some_videos(), some_videos((4,))
  known["times"] = [steps / 30 + 1 / 3 for steps in known["steps"]]
  known["times"][1] = np.full(3, np.nan)
  known["sources"] = ["kitchen/a.mp4", "", "b.mov"]
  for name, videos in (("e1.npy", known), ("e2.npy", unknown)):
    embeddings.save(tmp_path / name, videos)
    assert_same(embeddings.load(tmp_path / name), videos)
  # Beside a file without them they are not known.
  both = embeddings.load_many(tmp_path / "e*.npy").to_lists()
  assert both["sources"] == [*known["sources"], ""]
  np.testing.assert_array_equal(both["times"][0], known["times"][0])
  np.testing.assert_array_equal(both["times"][3], np.full(4, np.nan))


def test_names_of_phases_are_kept_unless_files_differ_in_them(tmp_path):
  videos = EmbeddedSplit.from_lists(some_videos()).videos
  for name, phases in (("a", ["réach", "pour"]), ("b", []), ("c", ["pour"])):
    embeddings.save(tmp_path / f"{name}.npy", EmbeddedSplit(videos, phases))
  with np.load(tmp_path / "a.npy", allow_pickle=False) as archive:
    assert archive["class_names"].tolist() == ["réach", "pour"]
  # The lists have an entry a video each.
  assert_same(embeddings.load(tmp_path / "a.npy"), some_videos())
  for pattern, expected in (
    ("a.npy", ("réach", "pour")),
    ("b.npy", ()),
    ("[ab].npy", ("réach", "pour")),
    ("*.npy", ()),
  ):
    assert embeddings.load_many(tmp_path / pattern).class_names == expected


def test_numpy_alone_reads_the_file(tmp_path):
  videos = some_videos()
  embeddings.save(tmp_path / "e.npy", videos)
  with np.load(tmp_path / "e.npy", allow_pickle=False) as archive:
    arrays = dict(archive)
  assert arrays["offsets"].tolist() == [0, 5, 8, 17]
  assert arrays.pop("names").tolist() == videos["names"]
  expected = {"embs": "float32", "frames": "uint8", "offsets": "int64"}
  integers = ("steps", "labels", "seq_lens", "seq_labels")
  expected |= dict.fromkeys(integers, "int64")
  assert {key: x.dtype.name for key, x in arrays.items()} == expected
  frames = np.concatenate(videos["frames"])
  np.testing.assert_array_equal(arrays["frames"], frames)


def test_same_videos_give_the_same_bytes(tmp_path):
  for name in "ab":
    embeddings.save(tmp_path / name, some_videos())
  assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_what_another_program_may_leave_out(tmp_path):
  path = tmp_path / "e.npz"
  embs, offsets = np.ones((5, 2)), np.array([0, 2, 2, 5], np.uint64)
  np.savez(path, embs=embs, offsets=offsets)
  found = embeddings.load(path)
  steps = [steps.tolist() for steps in found.pop("steps")]
  assert steps == [[0, 1], [], [0, 1, 2]]
  assert [len(video) for video in found.pop("embs")] == [2, 0, 3]
  assert found == {
    "names": ["video 0", "video 1", "video 2"],
    "seq_lens": [2, 0, 3],
    "seq_labels": [-1, -1, -1],
  }
  steps = np.array([0, 4, 1, 5, 9], np.uint8)
  np.savez(path, embs=embs, offsets=offsets, steps=steps)
  assert embeddings.load(path)["seq_lens"] == [5, 0, 10]


@pytest.mark.filterwarnings("error")
def test_types_that_another_program_may_have(tmp_path):
  path = tmp_path / "e.npz"
  arrays = {"embs": np.array([[1.0], [1e300], [-1e300]]), "extra": np.zeros(3)}
  arrays["offsets"] = np.array([0, 1, 3], np.int32)
  arrays["names"] = np.array(["vidéo".encode(), b"b\xff"])
  arrays["labels"] = np.array([0, 1, 2], np.uint8)
  arrays["seq_lens"] = np.array([1, 2], np.uint16)
  np.savez(path, **arrays)
  found = embeddings.load(path)
  assert found["names"] == ["vidéo", "b\ufffd"]
  assert found["labels"][1].tolist() == [1, 2]
  assert found["labels"][1].dtype == np.int64
  assert found["embs"][1].dtype == np.float32
  # Not finite, so that the tasks leave these frames out and say so.
  assert found["embs"][1].tolist() == [[np.inf], [-np.inf]]
  assert found["seq_lens"] == [1, 2]
  assert "extra" not in found


@pytest.mark.parametrize(
  "change, message",
  [
    ({"names": ["a"]}, "names: expected arrays of one shape"),
    ({"steps": [np.arange(5)] * 3}, r"steps: .* \[5, 3, 9\] rows"),
    ({"embs": [np.ones((n, n)) for n in (5, 3, 9)]}, "embs: .* one shape"),
    ({"labels": [np.ones((n, 1)) for n in (5, 3, 9)]}, "labels.*1 dimension"),
    ({"frames": [np.ones((n, 2, 2, 3)) for n in (5, 3, 9)]}, "frames.* uint8"),
    ({key: [] for key in some_videos()}, "at least one"),
  ],
)
def test_save_refuses_lists_that_do_not_fit(tmp_path, change, message):
  with pytest.raises(ValueError, match=message):
    embeddings.save(tmp_path / "e.npy", some_videos() | change)
  assert not list(tmp_path.iterdir())


def test_interrupted_save_leaves_the_old_file(tmp_path, monkeypatch):
  path = tmp_path / "e.npy"
  embeddings.save(path, some_videos())
  before = path.read_bytes()
  write = file._write_array

  def full_disk(archive, key, *rest):
    if key == "frames":
      raise OSError(28, "No space left on device")
    write(archive, key, *rest)

  monkeypatch.setattr(file, "_write_array", full_disk)
  with pytest.raises(UserError, match="No space left on device"):
    embeddings.save(path, some_videos(seed=1))
  assert path.read_bytes() == before
  assert [p.name for p in tmp_path.iterdir()] == ["e.npy"]


def write_changed(change):
  def write(path):
    embeddings.save(path, some_videos())
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)

  return write


def flip_pixel(data):
  data[data.index(b"frames.npy") + 400] ^= 255


def write_array(array):
  def write(path):
    with open(path, "wb") as stream:
      np.save(stream, array, allow_pickle=True)

  return write


DAMAGED = "a pickle, another format or a damaged file"


@pytest.mark.parametrize(
  "write, message",
  [
    (lambda path: path.write_bytes(pickle.dumps({"embs": []})), DAMAGED),
    (write_array(np.array([{"embs": 1}], dtype=object)), DAMAGED),
    (lambda path: path.write_text("hello\n"), DAMAGED),
    (lambda path: path.write_bytes(b""), DAMAGED),
    (lambda path: path.write_bytes(b"PK\x03\x04 no"), DAMAGED),
    (write_changed(lambda data: data.__delitem__(slice(-200, None))), DAMAGED),
    (write_changed(flip_pixel), DAMAGED),
    (write_array(np.zeros((4, 2))), "a single array"),
    (lambda path: path.mkdir(), "Is a directory"),
    (lambda path: None, "No such file or directory"),
  ],
)
@pytest.mark.parametrize("load", [embeddings.load, embeddings.load_many])
def test_other_files_are_refused_in_one_line(tmp_path, write, message, load):
  path = tmp_path / "e.npy"
  write(path)
  assert message_of(load, path) == (
    f"{path}: expected an embeddings file, an .npz archive of plain arrays,"
    f" received {message}; make one with extract_embeddings.py --save_path"
    " FILE, or write one as docs/training_and_evaluation.md shows"
  )


@pytest.mark.parametrize(
  "change, message",
  [
    ({"embs": None}, "without `embs`"),
    ({"offsets": None}, "without `offsets`"),
    ({"embs": np.zeros((4, 0), np.float32)}, "`embs` of shape (4, 0)"),
    ({"embs": np.zeros((4, 2, 2), np.float32)}, "`embs` of float32 with 3"),
    ({"embs": np.zeros((4, 2), np.int64)}, "`embs` of int64 with 2"),
    ({"names": np.array([1, 2])}, "`names` of int64"),
    ({"frames": np.zeros((4, 2, 2, 3))}, "`frames` of float64"),
    ({"frames": np.zeros((4, 2, 2, 1), np.uint8)}, "`frames` of shape"),
    ({"offsets": np.array([1, 4])}, "don't rise from 0"),
    ({"offsets": np.array([0, 3, 2, 4])}, "don't rise from 0"),
    ({"offsets": np.array([0, 3, 2, 4], np.uint64)}, "don't rise from 0"),
    ({"offsets": np.array([0])}, "don't rise from 0"),
    ({"offsets": np.array([0, 2, 5])}, "4 rows of `embs` where `offsets` say"),
    ({"steps": np.arange(3)}, "3 rows of `steps` where `offsets` says 4"),
    ({"labels": np.arange(5)}, "5 rows of `labels` where `offsets` says 4"),
    ({"names": np.array(["a"])}, "1 rows of `names` where `offsets` says 2"),
    ({"names": np.array(["a", None])}, "a pickle, another format"),
  ],
)
def test_other_archives_are_refused(tmp_path, change, message):
  arrays = {"embs": np.zeros((4, 2), np.float32), "steps": np.arange(4)}
  arrays |= {"names": np.array(["a", "b"]), "offsets": np.array([0, 2, 4])}
  arrays |= {"seq_lens": np.array([2, 2]), "seq_labels": np.array([0, 0])}
  path, arrays = tmp_path / "e.npz", arrays | change
  np.savez(path, **{k: a for k, a in arrays.items() if a is not None})
  assert message in message_of(embeddings.load, path)


def test_load_many_concatenates_in_order_of_names(tmp_path):
  parts = [some_videos((3, 4), seed=0), some_videos((2,), seed=1)]
  for name, part in zip("ab", parts, strict=True):
    embeddings.save(tmp_path / f"e[{name}].npy", part)
  found = embeddings.load_many(str(tmp_path / "e*.npy")).to_lists()
  assert_same(found, {key: parts[0][key] + parts[1][key] for key in parts[0]})
  # The brackets in the name of a file are no pattern.
  alone = embeddings.load_many(tmp_path / "e[b].npy").to_lists()
  assert_same(alone, parts[1])


@pytest.mark.parametrize(
  ("first", "second", "message"),
  [
    ({"size": 4}, {"size": 3}, "b.npy: expected embeddings of 4 dimensions"),
    ({}, {"frames": False}, "b.npy: expected frames, .*--keep_data"),
    ({"frames": False}, {}, "a.npy: expected frames, which .*b.npy holds"),
  ],
)
def test_load_many_refuses_what_does_not_go_together(
  tmp_path, first, second, message
):
  embeddings.save(tmp_path / "a.npy", some_videos(**first))
  embeddings.save(tmp_path / "b.npy", some_videos(**second))
  with pytest.raises(UserError, match=message):
    embeddings.load_many(tmp_path / "*.npy")


def test_load_many_gives_frames_of_files_without_labels_none(tmp_path):
  parts = [some_videos((3, 4), labels=False), some_videos((2,), seed=1)]
  for name, part in zip("ab", parts, strict=True):
    embeddings.save(tmp_path / f"{name}.npy", part)
  found = embeddings.load_many(tmp_path / "*.npy").to_lists()["labels"]
  assert [x.tolist() for x in found[:2]] == [[-1] * 3, [-1] * 4]
  np.testing.assert_array_equal(found[2], parts[1]["labels"][0])
