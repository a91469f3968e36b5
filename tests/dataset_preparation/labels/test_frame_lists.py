import io
import json

import numpy as np
import pytest

from tests.helpers.label_files import describe_error, label, label_by


def pack(array):
  file = io.BytesIO()
  np.save(file, array)
  return file.getvalue()


@pytest.mark.parametrize(
  "array",
  [
    np.array([0, 0, 1, -1]),
    np.array([0, 0, 1, -1], np.int8),
    np.array([0.0, 0.0, 1.0, -1.0]),
    np.array(["reach", "reach", "pour", "-1"]),
  ],
)
def test_arrays(tmp_path, array):
  path = tmp_path / "clip1.npy"
  assert label(path, pack(array), num_frames=4) == "001-"
  # The only video, or that of its name.
  assert label_by(path, ["clip9"], num_frames=4) == "001-"


COUNTS = "expected one label for each of the video's 3 frames, received 4"


@pytest.mark.parametrize(
  ("array", "message"),
  [
    (np.array([0, 0, 1, 1]), COUNTS),
    (np.array([0.5, 1, 2]), "frame 0: expected a phase by number or name"),
    (np.zeros((3, 2), int), "expected a NumPy array, received something else"),
    (np.zeros(0, int), "expected a NumPy array, received something else"),
    (np.array([{}], object), "Object arrays cannot be loaded"),
  ],
)
def test_arrays_that_do_not_fit(tmp_path, array, message):
  path = tmp_path / "clip1.npy"
  assert message in describe_error(path, pack(array), num_frames=3)


@pytest.mark.parametrize(
  ("num_frames", "labels"),
  [(4, "0122"), (8, "00112222"), (2, "12"), (3, "022"), (1, "2")],
)
def test_labels_are_resampled(tmp_path, num_frames, labels):
  path, phases = tmp_path / "clip1", [0, 1, 2, 2]
  for content in (
    json.dumps({"clip1": phases}),
    "video,phase\n" + "".join(f"clip1,{x}\n" for x in phases),
    pack(np.array(phases)),
  ):
    options = {"num_frames": num_frames, "resample_labels": True}
    assert label(path, content, **options) == labels


def test_a_folder_holds_a_file_a_video(tmp_path):
  for name, phases in (
    ("train/squats/0001", [0, 1]),
    ("val/squats/0002", [1, 1]),
  ):
    (tmp_path / name).parent.mkdir(parents=True)
    np.save(tmp_path / f"{name}.npy", phases)
  (tmp_path / "README.md").write_text("Phases.")
  assert label_by(tmp_path, ["0001", "0002"], num_frames=2) == "01"
  assert label_by(tmp_path, ["val/squats/0002"], num_frames=2) == "11"
