import pathlib

import pytest

from applications.folder_videos import inspect_folder, inspect_video
from core.errors import UserError
from tests.helpers import image_files, video_files


def test_what_is_no_video_is_told(tmp_path):
  video_files.make(tmp_path / "b.mp4", num_frames=30, fps=10)
  (tmp_path / "more").mkdir()
  video_files.make(tmp_path / "more" / "a.mkv", num_frames=20, fps=5)
  (tmp_path / "notes.txt").write_text("three takes")
  whole = (tmp_path / "b.mp4").read_bytes()
  (tmp_path / "broken.mp4").write_bytes(whole[: len(whole) // 2])
  image_files.make(tmp_path / "stills", 1)
  video_files.make(tmp_path / "still.gif", "gif", num_frames=1, pix_fmt="rgb8")
  videos, left_out = inspect_folder(tmp_path)
  assert list(videos) == ["b", "more/a"]
  assert videos["b"].seconds == pytest.approx(3.0)
  assert videos["b"].fps == pytest.approx(10)
  assert videos["more/a"].fps == pytest.approx(5)
  assert videos["b"].path == tmp_path / "b.mp4"
  [picture] = (tmp_path / "stills").iterdir()
  stills = picture.relative_to(tmp_path).as_posix()
  assert set(left_out) == {"notes.txt", "broken.mp4", "still.gif", stills}
  assert "ending" in left_out["notes.txt"]
  assert str(tmp_path / "broken.mp4") in left_out["broken.mp4"]
  assert "single picture" in left_out["still.gif"]


def test_a_missing_file_is_named():
  with pytest.raises(UserError, match="^nowhere.mp4: "):
    inspect_video(pathlib.Path("nowhere.mp4"))
