import numpy as np
import tensorflow as tf

import datasets
from data import examples, preprocessing
from data.feature_cache import View
from tests.helpers import tiny
from training.frame_features import FrameFeatures, build_cache

AUGMENTED = ("AUGMENTATION.RANDOM_CROP=true", "AUGMENTATION.HUE=true")
SETTINGS = (
  *("DATASETS=[tiny]", "MODEL.TRAIN_BASE=frozen", "DATA.FRAME_STRIDE=2"),
  *("TRAIN.MAX_ITERS=6", "AUGMENTATION.CACHED_VIEWS=2", *AUGMENTED),
)


def test_a_batch_from_the_cache_has_the_features_of_its_frames(tmp_path):
  where = tiny.write_records(tmp_path, [9, 5, 7], split="train")
  config = tiny.config(*SETTINGS, where, f"DATA.CACHE_DIR={tmp_path}/cache")
  algo = tiny.algorithm(*SETTINGS, where)
  algo.emb.piece_size = 4
  cache = build_cache(algo, config)
  records = datasets.list_training_records(config, "tiny")
  views = [View(record, number) for record in records for number in range(2)]
  FrameFeatures(algo, config, augment=True).fill_cache(cache, views)
  computed = {}
  for view in views:
    video = examples.read_example(view.record)
    frames = preprocessing.decode(tf.constant(list(video.jpegs)))
    seed = tf.constant(cache.make_seed(view), tf.int64)
    frames = preprocessing.augment(frames, config.AUGMENTATION, 32, seed)
    of_video = computed.setdefault(video.name, [])
    of_video.append(algo.features(frames).numpy())
  assert np.abs(np.subtract(*computed["v0"])).max() > 0.01
  plain = datasets.train_batches(config, 2)
  drawn = set()
  cached = datasets.train_batches(config, 2, cache=cache)
  for batch, expected in zip(cached, plain, strict=True):
    assert "frames" not in batch
    assert batch["features"].shape[:3] == (2, 3, 2)
    for key in ("steps", "name", "seq_lens", "frame_labels"):
      np.testing.assert_array_equal(batch[key], expected[key])
    contexts = np.maximum(batch["steps"][..., None] - np.array([2, 0]), 0)
    for name, features, steps in zip(
      batch["name"].numpy(), batch["features"], contexts, strict=True
    ):
      errors = [
        np.abs(x[steps] - features).max() for x in computed[name.decode()]
      ]
      assert min(errors) < 1e-5 * np.abs(features).max() < max(errors)
      drawn.add((name, int(np.argmin(errors))))
    embs = algo(batch, training=False)
    assert embs.shape == (2, 3, 6)
  assert len(drawn) > 4
