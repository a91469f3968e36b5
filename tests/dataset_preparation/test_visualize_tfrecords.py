import cv2
import pytest

from data import tfrecords
from dataset_preparation import visualize_tfrecords
from tests.helpers import record_files
from tests.helpers.errors import message_of
from tests.helpers.processes import run_python


def test_problems_are_listed(tmp_path):
  jpegs = [record_files.jpeg(0, t) for t in range(3)]
  example, cut = record_files.sequence_example, [jpegs[0], jpegs[1][:50]]
  # A packed list of one number: 3 becomes 7.
  replacement = (b"\x1a\x03\n\x01\x03", b"\x1a\x03\n\x01\x07")
  records = [
    example("sound", jpegs, [0, 1, -1]),
    example("label", jpegs, [0, 1, 2]),
    *(example("labels", jpegs, [0, 1]), example("cut", cut, [0, 1])),
    example("len", jpegs).replace(*replacement),
    *(b"\xff\xff", example("changed", jpegs)),
  ]
  [path] = record_files.write(tmp_path, [records], "toy", "val")
  record_files.flip_bit(path, -20)
  (tmp_path / "dataset.json").write_text(
    '{"format_version": 1, "dataset": "toy", "class_names": ["a", "b"],'
    ' "splits": {"val": {"num_videos": 7, "num_frames": 9}}}'
  )
  # Run by its path, as only that finds out what it imports.
  done = run_python(
    *(visualize_tfrecords.__file__, f"--path_to_tfrecords={tmp_path}"),
    *("--dataset=toy", "--split=val", "--check"),
    cwd=tmp_path,
  )
  assert done.returncode == 1
  assert done.stderr.splitlines()[-1] == (
    "error: toy_val: expected 7 sound records, received 6 that are not, see"
    " above; convert their videos again"
  )
  messages = [
    ", video 'label': expected label -1 to 1 in frame 2, received 2",
    ", video 'labels': expected 3 frame_labels, one a frame, received 2",
    ", video 'cut': expected a JPEG image as frame 1, received a damaged one",
    ", video 'len': expected a `len` of 3 frames, received 7",
    ": expected a SequenceExample of JPEG images, received one that ends too"
    " early",
    ": expected data that fit their checksum, received damaged data",
  ]
  lines = done.stdout.splitlines()
  _, *wrong = tfrecords.list_records([path])
  for line, record, message in zip(lines, wrong, messages, strict=True):
    assert line.startswith(f"{record}{message}; ")


def test_a_sheet_and_a_summary(tmp_path, toy_records, capsys):
  split, sheet = (toy_records, "toy", "train"), tmp_path / "new" / "sheet.png"
  visualize_tfrecords.visualize(*split, str(sheet), max_videos=3)
  assert capsys.readouterr().out.splitlines() == [
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
  assert message_of(visualize_tfrecords.visualize, *split, "sheet.txt") == (
    "--sheet: expected the name of a picture, received 'sheet.txt'; give one"
    " such as sheet.png"
  )


@pytest.mark.parametrize(
  "dataset, labels, problem",
  [
    ("pouring", [0, 4, -1], None),
    ("pouring", [0, 7], "expected label -1 to 4 in frame 1, received 7"),
    ("toy", [0, 7], None),
    ("toy", [0, -5], "expected label -1 or more in frame 1, received -5"),
  ],
)
def test_labels_are_checked_without_a_file(
  tmp_path, capsys, dataset, labels, problem
):
  jpegs = [record_files.jpeg(0, t) for t in range(len(labels))]
  record = record_files.sequence_example("a", jpegs, labels)
  record_files.write(tmp_path, [[record]], dataset, "val")
  arguments = (tmp_path, dataset, "val")
  if problem:
    message = message_of(visualize_tfrecords.check, *arguments)
    assert "expected 1 sound records, received 1" in message
    assert f", video 'a': {problem};" in capsys.readouterr().out
    return
  visualize_tfrecords.check(*arguments)
  sound, *unknown = capsys.readouterr().out.splitlines()
  assert sound == f"{dataset}_val: 1 records, all sound"
  assert unknown == (dataset == "toy") * [
    "How many phases there may be is not known, as no dataset.json names them;"
    " labels may be any number."
  ]
