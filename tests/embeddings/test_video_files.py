import numpy as np
import pytest

from core.errors import UserError
from dataset_preparation.build_records import build_records
from embeddings import extraction, video_files
from media.frame_encoding import FrameEncoding
from tests.helpers import image_files, tiny
from tests.helpers import video_files as clips

ENCODING = FrameEncoding(size=(40, 30), fps=5, quality=80)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  """Videos of 30 and 20 frames at 10 frames per second, and 12 images."""
  folder = tmp_path_factory.mktemp("clips")
  clips.make(folder / "a.mp4")
  (folder / "more").mkdir()
  clips.make(folder / "more" / "b.mkv", num_frames=20)
  image_files.make(folder / "pictures")
  return folder


@pytest.fixture(scope="module")
def made(folder, tmp_path_factory):
  """A configuration with the records of the videos, and a network."""
  out = tmp_path_factory.mktemp("records")
  paths = video_files.find_videos([str(folder / "*")])
  paths |= video_files.find_videos([str(folder / "more" / "*")])
  del paths["more"]
  build_records(paths, "mine_train", out, encoding=ENCODING)
  config = tiny.config("DATASETS=[mine]", f"PATH_TO_TFRECORDS={out}")
  algo = tiny.algorithm()
  algo(tiny.batch(), training=True)
  return config, extraction.VideoEmbedder(algo, config), paths


@pytest.mark.parametrize("stride", [1, 3])
def test_embeddings_are_those_of_records_of_the_same_files(made, stride):
  config, embed_video, paths = made
  config.DATA.SAMPLE_ALL_STRIDE = stride
  expected = extraction.embed_split(
    embed_video, config, "mine", "train", keep_frames=True
  )
  sources = [video.source for video in expected.videos]
  assert sources == ["a.mp4", "pictures", "b.mkv"]
  encoding = video_files.find_encoding(config)
  assert encoding == ENCODING
  found = video_files.embed_videos(
    embed_video, paths, encoding, stride, keep_frames=True
  )
  assert [x.name for x in found.videos] == ["a", "pictures", "b"]
  for video, other in zip(found.videos, expected.videos, strict=True):
    np.testing.assert_array_equal(video.embs, other.embs)
    np.testing.assert_array_equal(video.frames, other.frames)
    np.testing.assert_array_equal(video.steps, other.steps)
    np.testing.assert_allclose(video.times, other.times, atol=1e-6)
    assert (video.name, video.seq_len) == (other.name, other.seq_len)
    assert video.source.endswith(other.source)
    assert video.labels is None


def test_older_records_tell_the_size_and_the_rate(made, tmp_path):
  config, _, paths = made
  build_records(paths, "mine_train", tmp_path, encoding=ENCODING)
  config = tiny.config("DATASETS=[mine]", f"PATH_TO_TFRECORDS={tmp_path}")
  path = tmp_path / "dataset.json"
  text = path.read_text()
  path.write_text(text.replace('"encoding": {', '"encoding": {}, "_": {', 1))
  with pytest.raises(UserError, match="dataset.json"):
    video_files.find_encoding(config)
  path.write_text(text[: text.index('"encoding"')].rstrip(", \n") + "}}}")
  assert video_files.find_encoding(config) == FrameEncoding((40, 30), fps=5)
  path.unlink()
  assert video_files.find_encoding(config) == FrameEncoding((40, 30))


def test_names_of_videos(folder, monkeypatch):
  monkeypatch.chdir(folder)
  find = video_files.find_videos
  assert list(find(["a.mp4"])) == ["a"]
  assert list(find(["more/b.mkv", "*.mp4", "a.mp4"])) == ["more/b", "a"]
  (folder / "more" / "b.mp4").touch()
  try:
    assert list(find(["more/*"])) == ["b.mkv", "b.mp4"]
  finally:
    (folder / "more" / "b.mp4").unlink()
  with pytest.raises(UserError, match=r"--videos: .*none that match x\*.mp4"):
    find(["a.mp4", "x*.mp4"])


def test_broken_videos(made, folder, tmp_path):
  _, embed_video, paths = made
  broken = tmp_path / "broken.mp4"
  broken.write_bytes(b"no video")
  paths = {"broken": broken, "a": paths["a"]}
  with pytest.raises(UserError, match="broken.mp4: "):
    video_files.embed_videos(embed_video, paths, ENCODING)
  found = video_files.embed_videos(
    embed_video, paths, ENCODING, skip_broken=True
  )
  assert [video.name for video in found.videos] == ["a"]
  del paths["a"]
  with pytest.raises(UserError, match="--videos: expected at least one"):
    video_files.embed_videos(embed_video, paths, ENCODING, skip_broken=True)
