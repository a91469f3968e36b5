import itertools

import cv2
import numpy as np
import pytest
import tensorflow as tf

import datasets
from core.errors import UserError
from data import example_parser, preprocessing
from embeddings import extraction
from tests.helpers import record_files, tiny

LENGTHS = [9, 5, 7]
CONTEXT = ("DATA.NUM_STEPS=3", "DATA.FRAME_STRIDE=2")


@pytest.fixture(scope="module")
def where(tmp_path_factory):
  return tiny.write_records(tmp_path_factory.mktemp("records"), LENGTHS)


@pytest.fixture(scope="module")
def algo():
  algo = tiny.algorithm(*CONTEXT)
  # Statistics as training leaves them, so that embeddings differ.
  for seed in range(3):
    algo(tiny.batch(num_context=3, seed=seed), training=True)
  return algo


def embed_val(algo, config, split="val", **options):
  embed_video = extraction.video_embedder(algo, config)
  return extraction.embed_split(embed_video, config, "tiny", split, **options)


@pytest.fixture(scope="module")
def embed(algo, where):
  def embed_split(*settings, **options):
    config = tiny.config(*CONTEXT, where, *settings)
    return embed_val(algo, config, **options)

  return embed_split


def explicit_embeddings(algo, video, steps):
  """Embeds each frame with its context gathered by hand."""
  frames = example_parser.decode_frames(tf.constant(video["jpegs"]))
  frames = preprocessing.prepare(frames, 32, False).numpy()
  contexts = [
    [frames[max(0, t - 4)], frames[max(0, t - 2)], frames[t]] for t in steps
  ]
  return algo({"frames": tf.constant(np.array(contexts)[None])})[0].numpy()


def test_embeddings_equal_the_algorithm_on_explicit_contexts(
  algo, embed, where
):
  result = embed("EVAL.FRAMES_PER_BATCH=4")
  config = tiny.config(where)
  videos = list(datasets.iterate_videos(config, "tiny", "val"))
  assert len(videos) == len(result["embs"]) == 3
  for embs, video, length in zip(result["embs"], videos, LENGTHS, strict=True):
    expected = explicit_embeddings(algo, video, range(length))
    assert embs.shape == (length, 6)
    assert embs.dtype == np.float32
    np.testing.assert_allclose(embs, expected, atol=1e-5)
    assert np.ptp(embs, axis=0).max() > 1e-3


def test_embeddings_do_not_depend_on_frames_per_batch(embed):
  results = [
    embed(f"EVAL.FRAMES_PER_BATCH={size}")["embs"] for size in (1, 2, 5, 25)
  ]
  for embs, reference in itertools.product(results[1:], results[:1]):
    for a, b in zip(embs, reference, strict=True):
      np.testing.assert_allclose(a, b, atol=1e-5)


def test_one_compilation_serves_all_videos_and_splits(algo, where, monkeypatch):
  config = tiny.config(*CONTEXT, where, "EVAL.FRAMES_PER_BATCH=4")
  traced = []
  features = algo.features
  monkeypatch.setattr(
    algo, "features", lambda frames: traced.append(1) or features(frames)
  )
  embed_video = extraction.video_embedder(algo, config)
  for _ in range(2):
    extraction.embed_split(embed_video, config, "tiny", "val")
  assert len(traced) == 1


def test_recurrent_embeddings_do_not_depend_on_frames_per_batch(where):
  """The state runs on within a video and starts anew with the next."""
  settings = ("MODEL.EMBEDDER_TYPE=convgru", "DATA.NUM_STEPS=1")
  algo = tiny.algorithm(*settings)
  videos = list(datasets.iterate_videos(tiny.config(where), "tiny", "val"))
  expected = []
  for video in videos:
    frames = example_parser.decode_frames(tf.constant(video["jpegs"]))
    frames = preprocessing.prepare(frames, 32, False)
    expected.append(algo({"frames": frames[None, :, None]})[0].numpy())
  # What comes before a frame matters.
  alone = algo({"frames": frames[-1:][None, :, None]})[0, 0].numpy()
  assert np.abs(alone - expected[-1][-1]).max() > 1e-3
  for size in (1, 2, 4, 25):
    config = tiny.config(*settings, where, f"EVAL.FRAMES_PER_BATCH={size}")
    result = embed_val(algo, config)
    for embs, reference in zip(result["embs"], expected, strict=True):
      np.testing.assert_allclose(embs, reference, atol=1e-5)


@pytest.mark.parametrize("stride", [2, 3, 20])
def test_stride_leaves_out_frames_but_keeps_their_contexts(embed, stride):
  every = embed()
  some = embed(f"DATA.SAMPLE_ALL_STRIDE={stride}", "EVAL.FRAMES_PER_BATCH=2")
  for i, length in enumerate(LENGTHS):
    steps = list(range(0, length, stride))
    assert some["steps"][i].tolist() == steps
    assert some["labels"][i].tolist() == [t % 3 for t in steps]
    np.testing.assert_allclose(
      some["embs"][i], every["embs"][i][steps], atol=1e-5
    )
  assert some["seq_lens"] == LENGTHS


def test_what_is_known_of_a_video_comes_with_it(embed):
  result = embed()
  assert result["names"] == ["v0", "v1", "v2"]
  assert result["seq_lens"] == LENGTHS
  assert result["seq_labels"] == [0, 1, 2]
  for i, length in enumerate(LENGTHS):
    assert result["steps"][i].dtype == np.int64
    assert result["steps"][i].tolist() == list(range(length))
    assert result["labels"][i].dtype == np.int64
  assert "frames" not in result


def test_max_embs_takes_the_first_videos(embed):
  result = embed(max_embs=2)
  assert result["names"] == ["v0", "v1"]
  assert len(result["embs"]) == 2
  assert embed(max_embs=5)["names"] == ["v0", "v1", "v2"]


def test_kept_frames_are_those_that_were_stored(embed, where):
  result = embed("DATA.SAMPLE_ALL_STRIDE=2", keep_frames=True)
  videos = list(datasets.iterate_videos(tiny.config(where), "tiny", "val"))
  for frames, steps, video in zip(
    result["frames"], result["steps"], videos, strict=True
  ):
    assert frames.shape == (len(steps), 36, 40, 3)
    assert frames.dtype == np.uint8
    stored = np.array(
      [tf.io.decode_jpeg(video["jpegs"][t]).numpy() for t in steps]
    )
    np.testing.assert_array_equal(frames, stored)


def test_kept_frames_of_another_size_are_made_like_the_first(algo, tmp_path):
  videos = {"large": tiny.jpegs(2, 40, 48), "small": tiny.jpegs(3, 20, 24)}
  records = [record_files.sequence_example(*item) for item in videos.items()]
  record_files.write(tmp_path, [records], "tiny", "val")
  config = tiny.config(*CONTEXT, f"PATH_TO_TFRECORDS={tmp_path}")
  large, small = embed_val(algo, config, keep_frames=True)["frames"]
  assert large.shape == (2, 40, 48, 3)
  assert small.shape == (3, 40, 48, 3)
  original = tf.io.decode_jpeg(videos["small"][1]).numpy()
  expected = cv2.resize(original, (48, 40), interpolation=cv2.INTER_AREA)
  np.testing.assert_array_equal(small[1], expected)


def test_unlabeled_records_have_labels_minus_one(algo, embed):
  labels = embed("DATA.FRAME_LABELS=false", max_embs=1)["labels"]
  assert labels[0].tolist() == [-1] * LENGTHS[0]


def test_a_split_without_records(embed, algo, where):
  with pytest.raises(UserError, match="tiny_test"):
    embed_val(algo, tiny.config(where), split="test")


@pytest.mark.parametrize("damage", ["no frames", "no image"])
def test_a_damaged_record_is_named(algo, tmp_path, damage):
  sound = tiny.jpegs(3)
  bad = {"no frames": [], "no image": [sound[0], b"\xff\xd8", b"x"]}[damage]
  videos = {"sound": sound, "bad": bad}
  records = [record_files.sequence_example(*item) for item in videos.items()]
  [path] = record_files.write(tmp_path, [records], "tiny", "val")
  config = tiny.config(*CONTEXT, f"PATH_TO_TFRECORDS={tmp_path}")
  with pytest.raises(UserError) as caught:
    embed_val(algo, config)
  message = str(caught.value)
  assert message.startswith(f"{path}: record at byte ")
  assert ", video 'bad'" in message
  told = {
    "no frames": "expected frames under the key `video`, received none",
    "no image": "expected a JPEG image as frame 2, received other data",
  }
  assert told[damage] in message
