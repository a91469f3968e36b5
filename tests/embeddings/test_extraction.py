import cv2
import numpy as np
import pytest
import tensorflow as tf

import datasets
from core.errors import UserError
from data import preprocessing
from embeddings import extraction
from tests.helpers import record_files, tiny
from tests.helpers.errors import message_of

LENGTHS = [9, 5, 7]
CONTEXT = ("DATA.NUM_STEPS=3", "DATA.FRAME_STRIDE=2")
RECURRENT = ("DATA.NUM_STEPS=1", "MODEL.EMBEDDER_TYPE=convgru")


@pytest.fixture(scope="module")
def where(tmp_path_factory):
  return tiny.write_records(tmp_path_factory.mktemp("records"), LENGTHS)


@pytest.fixture(scope="module")
def videos(where):
  return list(datasets.iterate_videos(tiny.config(where), "tiny", "val"))


def build(settings):
  algo = tiny.algorithm(*settings)
  # Statistics as training leaves them, so that embeddings differ.
  num_context = tiny.config(*settings).DATA.NUM_STEPS
  for seed in range(3):
    algo(tiny.batch(num_context=num_context, seed=seed), training=True)
  return algo


@pytest.fixture(scope="module")
def algo():
  return build(CONTEXT)


def embed(algo, *settings, split="val", **options):
  config = tiny.config(*CONTEXT, *settings)
  algo.emb.piece_size = config.EVAL.FRAMES_PER_BATCH
  embed_video = extraction.VideoEmbedder(algo, config)
  embed_split = extraction.embed_split
  return embed_split(embed_video, config, "tiny", split, **options).videos


@pytest.mark.parametrize(
  ("settings", "context"), [(CONTEXT, (4, 2, 0)), (RECURRENT, (0,))]
)
def test_embeddings_do_not_depend_on_frames_per_batch(
  settings, context, where, videos
):
  """They equal the algorithm's on contexts gathered by hand.

  The state of a recurrent embedder starts anew with each video.
  """
  algo, expected = build(settings), []
  for video in videos:
    frames = preprocessing.decode(tf.constant(video["jpegs"]))
    frames = preprocessing.prepare(frames, 32, False).numpy()
    contexts = [
      [frames[max(0, t - back)] for back in context] for t in range(len(frames))
    ]
    expected.append(algo({"frames": tf.constant(np.array(contexts)[None])})[0])
    assert np.ptp(expected[-1], axis=0).max() > 1e-3
  alone = algo({"frames": tf.constant(np.array(contexts[-1:])[None])})[0, 0]
  differs = np.abs(alone - expected[-1][-1]).max() > 1e-3
  assert differs == (settings == RECURRENT)
  for size in (1, 2, 4, 25):
    embedded = embed(algo, where, *settings, f"EVAL.FRAMES_PER_BATCH={size}")
    for video, embs in zip(embedded, expected, strict=True):
      assert video.embs.dtype == np.float32
      np.testing.assert_allclose(video.embs, embs, atol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_cached_features_give_the_embeddings_that_computed_ones_give(
  precision, where, monkeypatch, tmp_path
):
  settings = (
    *CONTEXT,
    f"DATA.CACHE_DIR={tmp_path}",
    f"PRECISION={precision}",
    "MODEL.TRAIN_BASE=frozen",
    "EVAL.FRAMES_PER_BATCH=4",
  )
  algo = build(settings)
  computed = embed(algo, where, *settings, "DATA.CACHE_MAX_GB=0")
  first = embed(algo, where, *settings)
  monkeypatch.setattr(algo, "features", None)
  read = embed(algo, where, *settings)
  for expected, *others in zip(computed, first, read, strict=True):
    assert np.ptp(expected.embs, axis=0).max() > 1e-3
    for video in others:
      np.testing.assert_array_equal(video.embs, expected.embs)


def test_other_weights_are_not_those_of_the_cache(where, tmp_path):
  cache = ("MODEL.TRAIN_BASE=frozen", f"DATA.CACHE_DIR={tmp_path}")
  settings = (*CONTEXT, *cache)
  algo = build(settings)
  embed(algo, where, *settings)
  kernel = algo.cnn.trainable_variables or algo.cnn.weights
  kernel[0].assign(kernel[0] * 1.5)
  computed = embed(algo, where, *settings, "DATA.CACHE_MAX_GB=0")
  for video, expected in zip(
    embed(algo, where, *settings), computed, strict=True
  ):
    np.testing.assert_array_equal(video.embs, expected.embs)


def test_without_room_features_are_computed(where, monkeypatch, tmp_path):
  cache = (f"DATA.CACHE_DIR={tmp_path}", "DATA.CACHE_MAX_GB=1e-6")
  settings = (*CONTEXT, "MODEL.TRAIN_BASE=frozen", *cache)
  told = []
  monkeypatch.setattr(
    extraction.logging, "warning", lambda text, *x: told.append(text % x)
  )
  assert len(embed(build(settings), where, *settings)) == 3
  assert len(told) == 1
  assert told[0].startswith(
    "Features are computed each time: DATA.CACHE_DIR: expected room for"
  )


def test_one_compilation_serves_all_videos_and_splits(algo, where, monkeypatch):
  config = tiny.config(*CONTEXT, where)
  algo.emb.piece_size = 4
  traced = []
  features = algo.features
  monkeypatch.setattr(
    algo, "features", lambda frames: traced.append(1) or features(frames)
  )
  embed_video = extraction.VideoEmbedder(algo, config)
  for _ in range(2):
    extraction.embed_split(embed_video, config, "tiny", "val")
  assert len(traced) == 1


@pytest.mark.parametrize("stride", [2, 3, 20])
def test_stride_leaves_out_frames_but_keeps_their_contexts(algo, where, stride):
  every = embed(algo, where)
  settings = (f"DATA.SAMPLE_ALL_STRIDE={stride}", "EVAL.FRAMES_PER_BATCH=2")
  some = embed(algo, where, *settings)
  for video, whole, length in zip(some, every, LENGTHS, strict=True):
    steps = np.arange(0, length, stride)
    np.testing.assert_array_equal(video.steps, steps)
    np.testing.assert_array_equal(video.labels, steps % 3)
    np.testing.assert_allclose(video.embs, whole.embs[steps], atol=1e-5)
    assert video.seq_len == length


def test_what_is_known_of_a_video_comes_with_it(algo, where):
  embedded = embed(algo, where)
  for i, (video, length) in enumerate(zip(embedded, LENGTHS, strict=True)):
    assert (video.name, video.seq_len, video.seq_label) == (f"v{i}", length, i)
    assert video.steps.dtype == video.labels.dtype == np.int64
    assert video.steps.tolist() == list(range(length))
    assert video.frames is None
  [unlabeled] = embed(algo, where, "DATA.FRAME_LABELS=false", max_embs=1)
  assert unlabeled.labels.tolist() == [-1] * LENGTHS[0]


def test_max_embs_takes_the_first_videos(algo, where):
  for count in (2, 5):
    names = [video.name for video in embed(algo, where, max_embs=count)]
    assert names == ["v0", "v1", "v2"][:count]


def test_kept_frames_are_those_that_were_stored(algo, where, videos):
  kept = embed(algo, where, "DATA.SAMPLE_ALL_STRIDE=2", keep_frames=True)
  for video, source in zip(kept, videos, strict=True):
    assert video.frames.shape == (len(video.steps), 36, 40, 3)
    assert video.frames.dtype == np.uint8
    for frame, step in zip(video.frames, video.steps, strict=True):
      stored = tf.io.decode_jpeg(source["jpegs"][step])
      np.testing.assert_array_equal(frame, stored)


def test_kept_frames_of_another_size_are_made_like_the_first(algo, tmp_path):
  videos = {"large": tiny.jpegs(2, 40, 48), "small": tiny.jpegs(3, 20, 24)}
  records = [record_files.sequence_example(*item) for item in videos.items()]
  record_files.write(tmp_path, [records], "tiny", "val")
  large, small = embed(algo, f"PATH_TO_TFRECORDS={tmp_path}", keep_frames=True)
  assert large.frames.shape == (2, 40, 48, 3)
  assert small.frames.shape == (3, 40, 48, 3)
  original = tf.io.decode_jpeg(videos["small"][1]).numpy()
  expected = cv2.resize(original, (48, 40), interpolation=cv2.INTER_AREA)
  np.testing.assert_array_equal(small.frames[1], expected)


def test_a_split_without_records(algo, where):
  with pytest.raises(UserError, match="tiny_test"):
    embed(algo, where, split="test")


def test_a_damaged_record_is_named(algo, tmp_path):
  first, second = tiny.jpegs(2)
  damaged = record_files.sequence_example("bad", [first, second[:-20]])
  [path] = record_files.write(tmp_path, [[damaged]], "tiny", "val")
  message = message_of(embed, algo, f"PATH_TO_TFRECORDS={tmp_path}")
  assert message.startswith(f"{path}: record at byte ")
  assert ", video 'bad': expected a JPEG image as frame 1, received" in message
