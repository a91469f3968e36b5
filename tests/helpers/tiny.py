"""Networks, batches and records small enough for tests."""

import keras
import numpy as np
import tensorflow as tf

import config as configuration
from algos import ALGOS
from tests.helpers import record_files
from training.checkpoints import trainable_variables

SETTINGS = [
  *("IMAGE_SIZE=32", "TRAIN.NUM_FRAMES=3", "DATA.NUM_STEPS=2"),
  *("MODEL.BASE_MODEL.NETWORK=VGGM", "MODEL.BASE_MODEL.LAYER=conv2"),
  "MODEL.CONV_EMBEDDER_MODEL.CONV_LAYERS=[[8, 3, true]]",
  "MODEL.CONV_EMBEDDER_MODEL.FC_LAYERS=[[8, false]]",
  "MODEL.CONV_EMBEDDER_MODEL.CAPACITY_SCALAR=1",
  "MODEL.CONV_EMBEDDER_MODEL.EMBEDDING_SIZE=6",
  "MODEL.CONVGRU_EMBEDDER_MODEL.CONV_LAYERS=[[8, 3, true]]",
  "MODEL.CONVGRU_EMBEDDER_MODEL.GRU_LAYERS=[7, 6]",
]


def config(*settings):
  return configuration.load([], [*SETTINGS, *settings])


def algorithm(*settings, seed=0):
  """An algorithm with weights that only depend on the seed."""
  keras.utils.set_random_seed(seed)
  merged = config(*settings)
  return ALGOS[merged.TRAINING_ALGO](merged)


def list_leaves(network):
  """The layers of a network, those of nested networks in their place."""
  leaves = []
  for layer in network.layers:
    leaves += list_leaves(layer) if isinstance(layer, keras.Model) else [layer]
  return leaves


def is_batch_norm(layer):
  return isinstance(layer, keras.layers.BatchNormalization)


def frames(*shape, seed=0):
  return tf.random.stateless_uniform(shape, [seed, 0], -1.0, 1.0)


def batch(num_videos=2, num_frames=3, num_context=2, size=32, seed=0):
  rng = np.random.default_rng(seed)
  places = (num_videos, num_frames)
  count = num_videos * num_frames
  steps = np.sort(rng.permutation(max(20, count))[:count])
  return {
    "frames": frames(*places, num_context, size, size, 3, seed=seed),
    "steps": tf.constant(steps.reshape(places), tf.int64),
    "seq_lens": tf.fill([num_videos], tf.constant(20, tf.int64)),
    "frame_labels": tf.fill(places, tf.constant(-1, tf.int64)),
    "seq_labels": tf.fill([num_videos], tf.constant(-1, tf.int64)),
    "name": tf.constant([f"video{i}" for i in range(num_videos)]),
  }


def take_step(algo, optimizer, data):
  """One training step by the loss and the penalties of the algorithm."""
  variables = trainable_variables(algo)
  with tf.GradientTape() as tape:
    loss = algo.compute_loss(algo(data, training=True), data, training=True)
    loss += algo.regularization_loss()
  gradients = tape.gradient(loss, variables)
  optimizer.apply_gradients(zip(gradients, variables, strict=True))
  return loss


def jpegs(num_frames, height=36, width=40, seed=0):
  """Encoded frames of noise."""
  rng = np.random.default_rng(seed)
  images = rng.integers(0, 256, (num_frames, height, width, 3), np.uint8)
  return [tf.io.encode_jpeg(image).numpy() for image in images]


def write_records(folder, lengths, split="val"):
  """Writes videos of the given lengths; returns the setting that finds them."""
  videos = [
    record_files.sequence_example(
      f"v{i}", jpegs(length, seed=i), [t % 3 for t in range(length)], i
    )
    for i, length in enumerate(lengths)
  ]
  shards = [videos[i : i + 2] for i in range(0, len(videos), 2)]
  record_files.write(folder, shards, "tiny", split)
  return f"PATH_TO_TFRECORDS={folder}"
