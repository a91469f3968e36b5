import pytest

from core.errors import UserError
from dataset_preparation.labels.times import parse_frame, parse_seconds


@pytest.mark.parametrize(
  ("text", "seconds"),
  [
    ("0", 0),
    ("62.5", 62.5),
    ("62,5", 62.5),
    ("0:00", 0),
    ("1:02.5", 62.5),
    ("90:00", 5400),
    ("0:01:02.5", 62.5),
    ("0:01:02,5", 62.5),
    ("00:00:01.000", 1),
    ("1:1:1", 3661),
  ],
)
def test_times(text, seconds):
  assert parse_seconds(text, "start", "f") == seconds


@pytest.mark.parametrize(
  "text",
  ["", "-1", "nan", "inf", "1:60", "1:60:00", "1:2:3:4", ":1", "1:", "a"],
)
def test_what_is_no_time(text):
  with pytest.raises(UserError, match="f: expected seconds from 0 as start"):
    parse_seconds(text, "start", "f")


def test_frames():
  assert [parse_frame(x, "frame", "f") for x in ("0", "25", "25.0")] == [
    0,
    25,
    25,
  ]
  for text in ("", "-1", "1.5", "1e3", "9" * 40, "\u0663"):
    with pytest.raises(UserError, match="f: expected the number of a frame"):
      parse_frame(text, "frame", "f")
