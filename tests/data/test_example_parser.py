import numpy as np
import tensorflow as tf

from data.example_parser import decode_frames, parse_example
from tests.helpers import record_files

JPEGS = [record_files.jpeg(0, number) for number in range(3)]


def test_what_a_record_says_is_parsed():
  record = record_files.sequence_example("clip", JPEGS, [4, 5, -1], 7)
  video = {key: x.numpy() for key, x in parse_example(record).items()}
  assert video["name"] == b"clip" and video["jpegs"].tolist() == JPEGS
  assert video["seq_label"] == 7 and video["seq_len"] == 3
  assert video["frame_labels"].tolist() == [4, 5, -1]
  labels = parse_example(record, use_frame_labels=False)["frame_labels"]
  assert labels.numpy().tolist() == [-1, -1, -1]


def test_what_a_record_does_not_say_is_minus_one():
  video = parse_example(record_files.bare(JPEGS))
  assert video["seq_label"] == -1 and video["seq_len"] == 3
  assert video["name"] == b""
  assert video["frame_labels"].numpy().tolist() == [-1, -1, -1]


def test_frames_are_decoded():
  frames = decode_frames(tf.constant(JPEGS)).numpy()
  assert frames.shape == (3, 16, 16, 3) and frames.dtype == np.uint8
  assert record_files.frame_numbers(frames / 127.5 - 1).tolist() == [0, 1, 2]
