import numpy as np

from applications.frame_values import read_values
from tests.helpers.embedded_videos import timed_videos
from tests.helpers.errors import message_of

VIDEOS = timed_videos(2, seed=0)


def read(tmp_path, *lines, column="force", videos=VIDEOS):
  path = tmp_path / "values.csv"
  path.write_text("\n".join(lines))
  return read_values(path, column, videos)


def test_values_by_frame_are_interpolated_between_rows(tmp_path):
  rows = ["video,frame,force,other", "video 1,4,-2.5,x", "video 1,0,7.5,"]
  found = read(tmp_path, *rows, "video 1,2,,", "elsewhere,0,1,")
  assert [*found] == ["video 1"]
  assert found["video 1"][:5].tolist() == [7.5, 5, 2.5, 0, -2.5]
  assert np.isnan(found["video 1"][5:]).all()


def test_a_column_may_have_the_name_of_labels(tmp_path):
  rows = ["video,frame,Label", "video 1,0,1", "video 1,2,3"]
  found = read(tmp_path, *rows, column="label")["video 1"]
  assert found[:3].tolist() == [1, 2, 3]


def test_values_by_time_are_interpolated_between_samples(tmp_path):
  rows = ["video,time,force", "video 0,0:00.5,5", "video 0,0.3,1", "video 0,1,"]
  found = read(tmp_path, *rows)["video 0"]
  np.testing.assert_allclose(found[3:6], [1, 3, 5])
  assert np.isnan(found[:3]).all() and np.isnan(found[6:]).all()


def test_tables_that_can_not_be_used(tmp_path):
  def told(*lines, **options):
    return message_of(read, tmp_path, *lines, **options)

  heading = "video,time,force"
  assert "--column 'speed', received video, time, force;" in told(
    heading, column="speed"
  )
  assert "--column ''," in told(heading, column="")
  assert "row 2: expected a number as value, or none, received 'x';" in told(
    heading, "video 0,0,x"
  )
  assert "row 2: expected seconds from 0 as time" in told(
    heading, "video 0,-1,2"
  )
  (video,) = timed_videos(1, seed=0)
  video.times[:] = np.nan
  assert "times of video 0 are not known" in told(
    heading, "video 0,0,1", videos=[video]
  )
