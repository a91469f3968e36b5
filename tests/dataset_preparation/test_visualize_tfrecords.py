import subprocess
import sys

import cv2
import numpy as np
import pytest
import tensorflow as tf
from matplotlib import colormaps

from data import record_index
from dataset_preparation import visualize_tfrecords
from dataset_preparation.visualize_tfrecords import Video, contact_sheet
from tests.helpers import record_files

BLUE, ORANGE, GREEN = (
  np.array(color) * 255 for color in colormaps["tab10"].colors[:3]
)


def has(picture, color):
  """Number of pixels of a color."""
  return int((np.abs(picture.astype(float) - color).max(-1) <= 1).sum())


def test_rows_of_frames_above_their_phases():
  jpegs = [record_files.jpeg(0, t, (32, 48)) for t in range(20)]
  videos = [
    Video("first", jpegs, [0] * 10 + [1] * 5 + [-1] * 5),
    Video("second", jpegs[:3], [0, 1, 2]),
    Video("a name that is much too long " * 9, jpegs, []),
  ]
  sheet = contact_sheet(videos, ["reach", "pour", "rest"], 5)
  assert sheet.dtype == np.uint8
  width = 5 * 144  # 32 x 48 pixels, 96 high.
  assert sheet.shape[1] == 190 + width
  band = 10 * width
  # The colors of the legend come on top.
  assert band * (1 / 2 + 1 / 3) <= has(sheet, BLUE) < band
  assert band * (1 / 4 + 1 / 3) <= has(sheet, ORANGE) < band
  assert band / 3 <= has(sheet, GREEN) < band / 2
  gray = np.full(3, 0.85 * 255)
  assert band / 4 <= has(sheet, np.floor(gray)) < band / 3


def test_frames_are_evenly_spaced():
  jpegs = [record_files.jpeg(0, t, (96, 96)) for t in range(21)]
  sheet = contact_sheet([Video("a", jpegs, [])], [], 5)
  red = sheet[10 + 48, 190 + 48 :: 96, 0].astype(int)
  expected = [tf.io.decode_jpeg(jpegs[t])[48, 48, 0] for t in range(0, 21, 5)]
  np.testing.assert_allclose(red, np.array(expected, int), atol=1)


@pytest.mark.parametrize("num_frames", [1, 10])
@pytest.mark.parametrize("letter", ["i", "W"])
def test_legend_has_room_for_all_names(num_frames, letter):
  jpegs = [record_files.jpeg(0, t, (96, 96)) for t in range(15)]
  names = [f"{letter * 40} {number}" for number in range(14)]
  video = Video("a", jpegs, [*range(14), -1])
  sheet = contact_sheet([video], names, num_frames)
  legend = sheet[: -(96 + 10 + 14)]  # Above the frames and their band.
  colors = [np.array(c) * 255 for c in colormaps["tab20"].colors[:14]]
  for color in [*colors, np.floor(np.full(3, 0.85 * 255))]:
    assert has(legend, color) > 50
  # Nothing touches the border or the frames.
  for edge in (legend[:3], legend[-3:], legend[:, :3], legend[:, -3:]):
    assert (edge == 255).all()


def damaged(tmp_path):
  """Records of which all but the first have some damage."""
  jpegs = [record_files.jpeg(0, t) for t in range(3)]
  records = [
    record_files.sequence_example("sound", jpegs, [0, 1, -1]),
    record_files.sequence_example("label", jpegs, [0, 1, 2]),
    record_files.sequence_example("labels", jpegs, [0, 1]),
    record_files.sequence_example("cut", [jpegs[0], jpegs[1][:50]], [0, 1]),
    # A packed list of one number: 3 becomes 7.
    record_files.sequence_example("len", jpegs).replace(
      b"\x1a\x03\n\x01\x03", b"\x1a\x03\n\x01\x07"
    ),
    b"\xff\xff",
    record_files.sequence_example("changed", jpegs),
  ]
  [path] = record_files.write(tmp_path, [records], "toy", "val")
  content = bytearray(path.read_bytes())
  content[-20] ^= 1
  path.write_bytes(content)
  return [path]


def test_problems_are_listed(tmp_path):
  records = record_index.find_records(damaged(tmp_path))
  found = visualize_tfrecords.problems(records, 2, "dataset.json")
  assert len(found) == 6
  place = f"{tmp_path}/toy_val-0-of-1.tfrecord: record at byte "
  for line, offset, message in zip(
    found,
    [record.offset for record in records[1:]],
    [
      "video 'label': frame 2 has label 2, expected -1 to 1, as dataset.json"
      " names 2 phases",
      "video 'labels': 2 frame_labels, expected 3, one a frame",
      "video 'cut': frame 1 is no sound JPEG image",
      "video 'len': `len` says 7 frames, there are 3",
      "is damaged, no SequenceExample",
      "is damaged, it does not fit its checksum",
    ],
    strict=True,
  ):
    assert line.startswith(f"{place}{offset}")
    assert message in line


def run(*flags):
  return subprocess.run(
    [sys.executable, visualize_tfrecords.__file__, *flags],
    capture_output=True,
    text=True,
    check=False,
  )


def test_script(tmp_path, toy_records):
  flags = (f"--path_to_tfrecords={toy_records}", "--dataset=toy")
  sheet = tmp_path / "new" / "sheet.png"
  done = run(*flags, f"--sheet={sheet}", "--max_videos=3")
  assert done.returncode == 0, done.stderr
  assert done.stdout.splitlines() == [
    "toy_train: 7 videos, 230 frames (rate unknown)",
    "   0 phase 0: 55 frames, 23.9%",
    "   1 phase 1: 50 frames, 21.7%",
    "   2 phase 2: 50 frames, 21.7%",
    "   3 phase 3: 40 frames, 17.4%",
    "   4 phase 4: 25 frames, 10.9%",
    "   5 phase 5: 10 frames, 4.3%",
    f"Contact sheet: {sheet}",
  ]
  assert cv2.imread(str(sheet)) is not None
  done = run(*flags, "--check")
  assert done.stdout.splitlines() == [
    "toy_train: 7 records, all sound",
    "How many phases there may be is not known, as no dataset.json names them;"
    " labels may be any number.",
  ]
  done = run(*flags, "--sheet=sheet.txt")
  assert done.returncode == 1
  assert done.stderr.splitlines()[-1] == (
    "error: --sheet: expected a picture by its ending, such as sheet.png,"
    " received 'sheet.txt'"
  )


def test_script_ends_in_error_where_records_are_not_sound(tmp_path):
  damaged(tmp_path)
  (tmp_path / "dataset.json").write_text(
    '{"format_version": 1, "dataset": "toy", "class_names": ["a", "b"],'
    ' "splits": {"val": {"num_videos": 7, "num_frames": 9}}}'
  )
  done = run(
    f"--path_to_tfrecords={tmp_path}", "--dataset=toy", "--split=val", "--check"
  )
  assert done.returncode == 1
  assert len(done.stdout.splitlines()) == 6
  assert done.stderr.splitlines()[-1] == (
    "error: toy_val: 6 of 7 records are not sound, see above; convert their"
    " videos again"
  )


def write_labels(folder, dataset, *labels):
  jpegs = [record_files.jpeg(0, t) for t in range(len(labels))]
  record = record_files.sequence_example("a", jpegs, labels)
  record_files.write(folder, [[record]], dataset, "val")


def check(folder, dataset):
  return run(
    *(f"--path_to_tfrecords={folder}", f"--dataset={dataset}"),
    *("--split=val", "--check"),
  )


def test_labels_of_a_known_data_set_are_checked_without_a_file(tmp_path):
  write_labels(tmp_path, "pouring", 0, 4, -1)
  assert check(tmp_path, "pouring").stdout == (
    "pouring_val: 1 records, all sound\n"
  )
  write_labels(tmp_path, "pouring", 0, 7)
  done = check(tmp_path, "pouring")
  assert done.returncode == 1
  assert done.stdout.endswith(
    "video 'a': frame 1 has label 7, expected -1 to 4, as the paper on pouring"
    " names 5 phases\n"
  )


def test_labels_below_none_are_told(tmp_path):
  write_labels(tmp_path, "toy", 0, -5)
  done = check(tmp_path, "toy")
  assert done.stdout.endswith("frame 1 has label -5, expected -1 or more\n")
