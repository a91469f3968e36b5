"""Every setting with its default and the values it may take.

`CONFIG` holds the defaults. `load` merges YAML files and `KEY=value` settings
over a copy of them, so a file names only what it changes. Functions take the
merged configuration as an argument; none reads `CONFIG` on its own.

Commands check names that a registry decides (algorithm, embedder, backbone,
tasks) against that registry when they start.
"""

import json
import os
from collections.abc import Iterable, Sequence

import yaml
from easydict import EasyDict

from core import run_directory
from core.errors import UserError
from core.files import atomic_write
from core.settings import Setting, declare, flatten, merge_settings, one_of

_SETTINGS = {
  # Folder of checkpoints, TensorBoard logs and the merged configuration.
  "LOGDIR": Setting("/tmp/alignment_logs", is_path=True),
  # Data sets to train on; each batch holds videos of one of them.
  "DATASETS": Setting(["pouring"], can_be_empty=False),
  # Folder of the TFRecords; %s stands for the name of the data set.
  "PATH_TO_TFRECORDS": "/tmp/%s_tfrecords/",
  # Name of the algorithm in algos.ALGOS.
  "TRAINING_ALGO": "alignment",
  # Height and width of the network's input in pixels.
  "IMAGE_SIZE": Setting(224, low=16),
  # Sampling and augmentation depend on nothing random but (SEED, step).
  "SEED": Setting(0, low=0, high=2**32 - 1),
  # bfloat16 is twice as fast on hardware that supports it and slower on other
  # hardware; embeddings and loss stay float32. auto: bfloat16 where it is fast.
  "PRECISION": one_of("float32", "bfloat16", "auto"),
  "TRAIN": {
    # Optimizer steps.
    "MAX_ITERS": Setting(150000, low=0),
    # Videos in a batch of each replica.
    "BATCH_SIZE": Setting(2, low=1),
    # Frames sampled from each video.
    "NUM_FRAMES": Setting(20, low=2),
    # Steps between two batches that --visualize shows as images.
    "VISUALIZE_INTERVAL": Setting(200, low=1),
  },
  "EVAL": {
    # Videos in a batch of algo_loss.
    "BATCH_SIZE": Setting(2, low=1),
    # Frames that algo_loss samples from each video.
    "NUM_FRAMES": Setting(20, low=2),
    # Batches of each split for algo_loss.
    "VAL_ITERS": Setting(20, low=1),
    # Names of tasks in evaluation.TASKS. These are the paper's; there are also
    # retrieval and cycle_consistency.
    "TASKS": Setting(
      [
        "algo_loss",
        "classification",
        "few_shot_classification",
        "event_completion",
        "kendalls_tau",
      ],
      can_be_empty=False,
    ),
    # Frames embedded at once; affects memory and speed, not the embeddings.
    "FRAMES_PER_BATCH": Setting(25, low=1),
    # Kendall's tau, retrieval and cycle_consistency use every n-th frame
    # (Penn Action: 2).
    "KENDALLS_TAU_STRIDE": Setting(5, low=1),
    # Distance between embeddings.
    "KENDALLS_TAU_DISTANCE": one_of("sqeuclidean", "cosine"),
    # Fractions of the training videos whose labels are used.
    "CLASSIFICATION_FRACTIONS": Setting(
      [0.1, 0.5, 1.0], low=0, high=1, can_be_empty=False
    ),
    # Numbers of labeled videos in few-shot classification.
    "FEW_SHOT_NUM_LABELED": Setting([*range(1, 11)], low=1, can_be_empty=False),
    # Random draws of labeled videos for each number.
    "FEW_SHOT_NUM_EPISODES": Setting(50, low=1),
    # Numbers of nearest frames whose phases retrieval compares.
    "RETRIEVAL_K": Setting([5, 10, 15], low=1, can_be_empty=False),
  },
  "MODEL": {
    # Name of the embedder in models.EMBEDDERS.
    "EMBEDDER_TYPE": "conv",
    "BASE_MODEL": {
      # Resnet50_pretrained, Resnet50, VGGM, a name in keras.applications
      # (random weights; with the ending _pretrained: ImageNet), or the path
      # of a .keras file that takes RGB in [-1, 1].
      "NETWORK": Setting("Resnet50_pretrained", is_path=True),
      # Layer whose output is the feature map.
      "LAYER": "conv4_block3_out",
    },
    # Which weights of the backbone to train. only_bn: scales and offsets of
    # batch norm.
    "TRAIN_BASE": one_of("train_all", "only_bn", "frozen", default="only_bn"),
    # Whether to train the embedder.
    "TRAIN_EMBEDDING": True,
    # Weights of Resnet50_pretrained: a file, or `imagenet` for those in Keras's
    # cache, which are downloaded at first; so they are if the default is
    # missing.
    "RESNET_PRETRAINED_WEIGHTS": Setting(
      "/tmp/resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
      is_path=True,
    ),
    # Weight of the L2 penalty on kernels and biases of embedder and head.
    "L2_REG_WEIGHT": Setting(1e-5, low=0),
    # Share of the moving statistics that a step keeps. A run of a few hundred
    # steps needs less than 0.99; otherwise evaluation sees stale statistics.
    "BATCH_NORM_MOMENTUM": Setting(0.99, low=0, high=1),
    # Whether VGGM has batch norm.
    "VGGM": {"USE_BN": True},
    "CONV_EMBEDDER_MODEL": {
      # 3-D convolutions: [channels, kernel size, ReLU].
      "CONV_LAYERS": Setting([[256, 3, True], [256, 3, True]], low=1),
      # How the last feature map becomes a vector.
      "FLATTEN_METHOD": one_of("max_pool", "avg_pool", "flatten"),
      # Dense layers: [units, ReLU].
      "FC_LAYERS": Setting([[256, True], [256, True]], low=1),
      # Factor of the channels and units above.
      "CAPACITY_SCALAR": Setting(2.0, low=1e-3),
      # Dimensions of an embedding.
      "EMBEDDING_SIZE": Setting(128, low=1),
      # Whether to scale embeddings to length 1.
      "L2_NORMALIZE": False,
      # Dropout on the backbone's feature maps.
      "BASE_DROPOUT_RATE": Setting(0.0, low=0, high=0.99),
      # Whether that dropout drops whole channels.
      "BASE_DROPOUT_SPATIAL": False,
      # Dropout before each dense layer.
      "FC_DROPOUT_RATE": Setting(0.1, low=0, high=0.99),
      # Whether batch norm follows the convolutions.
      "USE_BN": True,
    },
    "CONVGRU_EMBEDDER_MODEL": {
      # 2-D convolutions: [channels, kernel size, ReLU].
      "CONV_LAYERS": Setting([[512, 3, True], [512, 3, True]], low=1),
      # Units of each recurrent layer; the last gives the embedding's size.
      "GRU_LAYERS": Setting([128], low=1, can_be_empty=False),
      # Dropout before the recurrent layers.
      "DROPOUT_RATE": Setting(0.0, low=0, high=0.99),
      # Whether batch norm follows the convolutions.
      "USE_BN": True,
    },
  },
  "ALIGNMENT": {
    # Sequences in a cycle of stochastic matching.
    "CYCLE_LENGTH": Setting(2, low=2),
    # Label smoothing of the classification loss.
    "LABEL_SMOOTHING": Setting(0.1, low=0, high=1),
    # Temperature that divides the similarities.
    "SOFTMAX_TEMPERATURE": Setting(0.1, low=1e-9),
    "LOSS_TYPE": one_of(
      "classification",
      "regression_mse",
      "regression_mse_var",
      "regression_huber",
      default="regression_mse_var",
    ),
    # Whether regression losses divide time by the video's length.
    "NORMALIZE_INDICES": True,
    # Weight of the logarithm of the variance in regression_mse_var.
    "VARIANCE_LAMBDA": Setting(0.001, low=0),
    # Cycles of stochastic matching as a share of the frames of a batch.
    "FRACTION": Setting(1.0, low=0),
    # Where regression_huber turns from quadratic to linear.
    "HUBER_DELTA": Setting(0.1, low=1e-9),
    # l2: negative squared distance; cosine: inner product.
    "SIMILARITY_TYPE": one_of("l2", "cosine"),
    # Whether to match random cycles instead of all pairs of videos.
    "STOCHASTIC_MATCHING": False,
  },
  "SAL": {
    # Dropout before each dense layer of the classifier.
    "DROPOUT_RATE": Setting(0.0, low=0, high=0.99),
    # Dense layers of the classifier: [units, ReLU].
    "FC_LAYERS": Setting([[128, True], [64, True], [2, False]], low=1),
    # Share of triplets that are out of order.
    "SHUFFLE_FRACTION": Setting(0.75, low=0, high=1),
    # Triplets of each video.
    "NUM_SAMPLES": Setting(8, low=1),
    "LABEL_SMOOTHING": Setting(0.0, low=0, high=1),
  },
  "TCN": {
    # The positive is drawn from so many frames before its anchor.
    "POSITIVE_WINDOW": Setting(5, low=1),
    # Weight of the embeddings' squared length.
    "REG_LAMBDA": Setting(0.002, low=0),
  },
  "ALIGNMENT_SAL_TCN": {
    # Weights of the losses; TCN gets the rest to 1.
    "ALIGNMENT_LOSS_WEIGHT": Setting(0.33, low=0, high=1),
    "SAL_LOSS_WEIGHT": Setting(0.33, low=0, high=1),
  },
  "CLASSIFICATION": {
    # Number of phases; 0 = taken from the labels of the training videos.
    "NUM_CLASSES": Setting(0, low=0),
    "LABEL_SMOOTHING": Setting(0.0, low=0, high=1),
    # Dropout before the classifier.
    "DROPOUT_RATE": Setting(0.0, low=0, high=0.99),
  },
  "OPTIMIZER": {
    # MomentumOptimizer has a momentum of 0.9.
    "TYPE": one_of("AdamOptimizer", "MomentumOptimizer"),
    "LR": {
      "INITIAL_LR": Setting(1e-4, low=0),
      # exp_decay: a staircase; poly: linear to 0 at MAX_ITERS.
      "DECAY_TYPE": one_of("fixed", "exp_decay", "manual", "poly"),
      # Factor of each stair of exp_decay.
      "EXP_DECAY_RATE": Setting(0.97, low=0),
      # Steps of each stair of exp_decay.
      "EXP_DECAY_STEPS": Setting(1000, low=1),
      # Steps at which manual multiplies the rate.
      "MANUAL_LR_STEP_BOUNDARIES": Setting([5000, 10000], low=0),
      # Factor of manual at each boundary.
      "MANUAL_LR_DECAY_RATE": Setting(0.1, low=0),
      # Steps over which the rate grows linearly from 0.
      "NUM_WARMUP_STEPS": Setting(0, low=0),
    },
  },
  "DATA": {
    # Size of the blocks in which videos are shuffled; 0 = the whole set.
    "SHUFFLE_QUEUE_SIZE": Setting(0, low=0),
    # Batches prepared ahead of the training step.
    "NUM_PREFETCH_BATCHES": Setting(1, low=0),
    # First frame that offset_uniform may sample.
    "RANDOM_OFFSET": Setting(1, low=0),
    # Frames between two samples of the strategy stride.
    "STRIDE": Setting(16, low=1),
    # How to sample the frames of a training batch.
    "SAMPLING_STRATEGY": one_of("offset_uniform", "stride"),
    # Context frames of an embedding, including the frame itself.
    "NUM_STEPS": Setting(2, low=1),
    # Frames of the source video between two context frames.
    "FRAME_STRIDE": Setting(15, low=1),
    # Whether to read labels of frames where records have them.
    "FRAME_LABELS": True,
    # Share of the videos to train on, from the first; 0 = one video.
    "PER_DATASET_FRACTION": Setting(1.0, low=0, high=1),
    # Whether each record file holds one class: then *<split>* matches files.
    "PER_CLASS": False,
    # Evaluation embeds every n-th frame.
    "SAMPLE_ALL_STRIDE": Setting(1, low=1),
    # Folder for the features of a frozen backbone, which are computed once.
    "CACHE_DIR": Setting("/tmp/tcc_cache", is_path=True),
    # Gigabytes that all features there may take; 0 = none are kept.
    "CACHE_MAX_GB": Setting(20.0, low=0),
  },
  "AUGMENTATION": {
    # Views of each video to augment once and keep the features of, for training
    # with a frozen backbone; 0 = every batch is augmented anew.
    "CACHED_VIEWS": Setting(0, low=0),
    # Mirror half of the videos left to right.
    "RANDOM_FLIP": True,
    # Square crop with 0.8 to 1 of the shorter side.
    "RANDOM_CROP": False,
    "BRIGHTNESS": True,
    # Largest change of brightness; white is 1.
    "BRIGHTNESS_MAX_DELTA": Setting(32.0 / 255, low=0, high=1),
    "CONTRAST": True,
    "CONTRAST_LOWER": Setting(0.5, low=0, not_above="CONTRAST_UPPER"),
    "CONTRAST_UPPER": Setting(1.5, low=0),
    "HUE": False,
    # Largest turn of the hue as a share of the circle.
    "HUE_MAX_DELTA": Setting(0.2, low=0, high=0.5),
    "SATURATION": False,
    "SATURATION_LOWER": Setting(0.5, low=0, not_above="SATURATION_UPPER"),
    "SATURATION_UPPER": Setting(1.5, low=0),
  },
  # Steps between two lines of the log and points of the curves.
  "LOGGING": {"REPORT_INTERVAL": Setting(100, low=1)},
  "CHECKPOINT": {
    # Steps between two checkpoints; the first and last step save one, too.
    "SAVE_INTERVAL": Setting(1000, low=1),
    # Checkpoints to keep, besides one for every hour.
    "MAX_TO_KEEP": Setting(10, low=1),
  },
}

CONFIG, _RULES = declare(_SETTINGS)


def load(
  files: Iterable[str | os.PathLike] = (), settings: Sequence[str] = ()
) -> EasyDict:
  """Merge files, then single settings, over a copy of the defaults.

  Args:
    files: YAML files, each with any part of the tree of `CONFIG`.
    settings: Single values such as `TRAIN.MAX_ITERS=100`.

  Returns:
    The complete, checked configuration.

  Raises:
    UserError: A file can't be read, a key is unknown, or a value has the wrong
      type or is not allowed.
  """
  return merge_settings(CONFIG, _RULES, files, settings)


def merge_run(
  logdir: str | os.PathLike | None,
  file: str | None = None,
  settings: Sequence[str] = (),
) -> EasyDict:
  """Merge a file and settings over the configuration of a run, if it has one.

  Args:
    logdir: The log directory; a `config.yml` in it replaces the defaults. None
      takes LOGDIR of the configuration.
    file: A YAML file, or None.
    settings: Single values such as `TRAIN.MAX_ITERS=100`.

  Returns:
    The configuration with LOGDIR set.

  Raises:
    UserError: As `load`.
  """
  files = [file] if file else []
  config = load(files, settings)
  logdir = os.path.expanduser(logdir or config.LOGDIR)
  saved = run_directory.config_file(logdir)
  if saved.exists():
    config = load([saved, *files], settings)
  config.LOGDIR = logdir
  return config


def load_run(logdir: str | os.PathLike) -> EasyDict:
  """Load the configuration that training left in a log directory.

  Args:
    logdir: The log directory of a run.

  Returns:
    The configuration with LOGDIR set to `logdir`.

  Raises:
    UserError: There is none, or it is not valid.
  """
  path = run_directory.config_file(os.path.expanduser(logdir))
  if not path.exists():
    raise UserError(
      f"{path}: expected the configuration of a training run, received no file;"
      f" start a run with `python train.py --logdir {logdir}`"
    )
  return merge_run(logdir)


def unused_settings(config: EasyDict) -> list[str]:
  """List the full keys that were set for an embedder that is not used."""
  used = f"MODEL.{config.MODEL.EMBEDDER_TYPE.upper()}_EMBEDDER_MODEL."
  others = [x for x in _RULES if "_EMBEDDER_MODEL." in x and used not in x]
  values = flatten(config)
  return [key for key in others if values[key] != _RULES[key].default]


def save(config: EasyDict, logdir: str | os.PathLike) -> None:
  """Write a configuration to `config.yml` in a log directory."""
  with atomic_write(run_directory.config_file(logdir)) as path:
    # YAML knows no EasyDict.
    plain = json.loads(json.dumps(config))
    path.write_text(yaml.safe_dump(plain, sort_keys=False))
