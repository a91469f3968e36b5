"""Every setting with its default; loading, strict merging, checking, saving.

`CONFIG` holds the defaults. `load` merges YAML files and `KEY=value` settings
over a copy of them, so a file names only what it changes. Functions receive the
merged configuration as an argument; nothing reads `CONFIG` behind your back.
"""

import copy
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import yaml
from easydict import EasyDict

from core import run_directory, strict_yaml
from core.errors import UserError
from core.files import atomic_write
from core.settings import Rules, differences, merge, plain, value_of

CONFIG = EasyDict(
  {
    # Checkpoints, TensorBoard logs and the merged configuration go here.
    "LOGDIR": "/tmp/alignment_logs",
    # Data sets to train on; a batch holds videos of one of them.
    "DATASETS": ["pouring"],
    # Folder of the TFRecords; %s stands for the name of the data set.
    "PATH_TO_TFRECORDS": "/tmp/%s_tfrecords/",
    # Name of the algorithm in algos.ALGOS.
    "TRAINING_ALGO": "alignment",
    # Height and width, in pixels, of what the network sees.
    "IMAGE_SIZE": 224,
    # All random choices of sampling and augmentation follow from (SEED, step).
    "SEED": 0,
    # float32; bfloat16 (twice as fast where the hardware has it, slower where
    # not; embeddings and loss stay float32); auto: bfloat16 where it is fast.
    "PRECISION": "float32",
    "TRAIN": {
      # Optimizer steps.
      "MAX_ITERS": 150000,
      # Videos a batch and replica.
      "BATCH_SIZE": 2,
      # Frames sampled from a video.
      "NUM_FRAMES": 20,
      # Steps between two batches shown as images (--visualize).
      "VISUALIZE_INTERVAL": 200,
    },
    "EVAL": {
      # Videos a batch of algo_loss.
      "BATCH_SIZE": 2,
      # Frames sampled from a video for algo_loss.
      "NUM_FRAMES": 20,
      # Batches of algo_loss, of each split.
      "VAL_ITERS": 20,
      # Names of tasks in evaluation.TASKS: those of the paper. There are
      # retrieval and cycle_consistency, too.
      "TASKS": [
        "algo_loss",
        "classification",
        "few_shot_classification",
        "event_completion",
        "kendalls_tau",
      ],
      # Frames embedded at once; changes memory and speed, not the embeddings.
      "FRAMES_PER_BATCH": 25,
      # Every so many frames of a video enter Kendall's tau, retrieval and
      # cycle_consistency (Penn Action: 2).
      "KENDALLS_TAU_STRIDE": 5,
      # Distance between embeddings: sqeuclidean or cosine.
      "KENDALLS_TAU_DISTANCE": "sqeuclidean",
      # Fractions of the training videos that lend their labels.
      "CLASSIFICATION_FRACTIONS": [0.1, 0.5, 1.0],
      # Numbers of labeled videos.
      "FEW_SHOT_NUM_LABELED": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
      # Random draws of labeled videos for each number.
      "FEW_SHOT_NUM_EPISODES": 50,
      # Numbers of nearest frames whose phases retrieval compares.
      "RETRIEVAL_K": [5, 10, 15],
    },
    "MODEL": {
      # Name of the embedder in models.EMBEDDERS.
      "EMBEDDER_TYPE": "conv",
      "BASE_MODEL": {
        # Resnet50_pretrained, Resnet50, VGGM, a name in keras.applications
        # (random weights; with the ending _pretrained: ImageNet), or the path
        # of a .keras file that takes RGB in [-1, 1].
        "NETWORK": "Resnet50_pretrained",
        # Layer whose output is the feature map.
        "LAYER": "conv4_block3_out",
      },
      # train_all, only_bn (scales and offsets of batch norm) or frozen.
      "TRAIN_BASE": "only_bn",
      # Whether the embedder is trained.
      "TRAIN_EMBEDDING": True,
      # Weights of Resnet50_pretrained: a file, or `imagenet` to download.
      "RESNET_PRETRAINED_WEIGHTS": (
        "/tmp/resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5"
      ),
      # Weight of the L2 penalty on kernels and biases of embedder and head.
      "L2_REG_WEIGHT": 1e-5,
      # Share of the old moving statistics a step keeps. A run of a few hundred
      # steps needs less than 0.99, or evaluation sees stale statistics.
      "BATCH_NORM_MOMENTUM": 0.99,
      "VGGM": {
        # Whether VGGM has batch norm.
        "USE_BN": True,
      },
      "CONV_EMBEDDER_MODEL": {
        # 3-D convolutions: [channels, kernel size, ReLU].
        "CONV_LAYERS": [[256, 3, True], [256, 3, True]],
        # From the last feature map to a vector: max_pool, avg_pool, flatten.
        "FLATTEN_METHOD": "max_pool",
        # Dense layers: [units, ReLU].
        "FC_LAYERS": [[256, True], [256, True]],
        # Multiplies the channels and units above.
        "CAPACITY_SCALAR": 2.0,
        # Dimensions of an embedding.
        "EMBEDDING_SIZE": 128,
        # Whether embeddings have length 1.
        "L2_NORMALIZE": False,
        # Dropout on the backbone's feature maps.
        "BASE_DROPOUT_RATE": 0.0,
        # Whether that dropout drops whole channels.
        "BASE_DROPOUT_SPATIAL": False,
        # Dropout before each dense layer.
        "FC_DROPOUT_RATE": 0.1,
        # Whether the convolutions are followed by batch norm.
        "USE_BN": True,
      },
      "CONVGRU_EMBEDDER_MODEL": {
        # 2-D convolutions: [channels, kernel size, ReLU].
        "CONV_LAYERS": [[512, 3, True], [512, 3, True]],
        # Units of each recurrent layer; the last is the embedding's size.
        "GRU_LAYERS": [128],
        # Dropout before the recurrent layers.
        "DROPOUT_RATE": 0.0,
        # Whether the convolutions are followed by batch norm.
        "USE_BN": True,
      },
    },
    "ALIGNMENT": {
      # Sequences in a cycle of stochastic matching.
      "CYCLE_LENGTH": 2,
      # Of the classification loss.
      "LABEL_SMOOTHING": 0.1,
      # Divides the similarities.
      "SOFTMAX_TEMPERATURE": 0.1,
      # classification, regression_mse, regression_mse_var, regression_huber.
      "LOSS_TYPE": "regression_mse_var",
      # Whether the time in a regression loss is divided by the video's length.
      "NORMALIZE_INDICES": True,
      # Weight of the logarithm of the variance in regression_mse_var.
      "VARIANCE_LAMBDA": 0.001,
      # Cycles of stochastic matching as a share of the frames of a batch.
      "FRACTION": 1.0,
      # Where regression_huber turns from square to linear.
      "HUBER_DELTA": 0.1,
      # l2 (negative squared distance) or cosine (inner product).
      "SIMILARITY_TYPE": "l2",
      # Random cycles instead of all pairs of videos.
      "STOCHASTIC_MATCHING": False,
    },
    "SAL": {
      # Dropout before each dense layer of the classifier.
      "DROPOUT_RATE": 0.0,
      # Dense layers of the classifier: [units, ReLU].
      "FC_LAYERS": [[128, True], [64, True], [2, False]],
      # Share of the triplets that are out of order.
      "SHUFFLE_FRACTION": 0.75,
      # Triplets a video.
      "NUM_SAMPLES": 8,
      "LABEL_SMOOTHING": 0.0,
    },
    "TCN": {
      # Frames before an anchor among which its positive is drawn.
      "POSITIVE_WINDOW": 5,
      # Weight of the embeddings' squared length.
      "REG_LAMBDA": 0.002,
    },
    "ALIGNMENT_SAL_TCN": {
      # Weights of the losses; that of TCN is what is left of 1.
      "ALIGNMENT_LOSS_WEIGHT": 0.33,
      "SAL_LOSS_WEIGHT": 0.33,
    },
    "CLASSIFICATION": {
      # Phases; 0 = as the labels of the training videos say.
      "NUM_CLASSES": 0,
      "LABEL_SMOOTHING": 0.0,
      # Dropout before the classifier.
      "DROPOUT_RATE": 0.0,
    },
    "OPTIMIZER": {
      # AdamOptimizer or MomentumOptimizer (0.9).
      "TYPE": "AdamOptimizer",
      "LR": {
        "INITIAL_LR": 1e-4,
        # fixed, exp_decay (staircase), manual, poly (linear to 0 at MAX_ITERS).
        "DECAY_TYPE": "fixed",
        # Factor of one stair of exp_decay.
        "EXP_DECAY_RATE": 0.97,
        # Steps of one stair of exp_decay.
        "EXP_DECAY_STEPS": 1000,
        # Steps at which manual multiplies the rate.
        "MANUAL_LR_STEP_BOUNDARIES": [5000, 10000],
        # Factor of manual at each boundary.
        "MANUAL_LR_DECAY_RATE": 0.1,
        # Steps over which the rate grows linearly from 0.
        "NUM_WARMUP_STEPS": 0,
      },
    },
    "DATA": {
      # Videos are shuffled within blocks of so many; 0 = the whole set.
      "SHUFFLE_QUEUE_SIZE": 0,
      # Batches prepared ahead of the training step.
      "NUM_PREFETCH_BATCHES": 1,
      # First frame that offset_uniform may sample.
      "RANDOM_OFFSET": 1,
      # Step, in frames, of the sampling strategy stride.
      "STRIDE": 16,
      # offset_uniform or stride.
      "SAMPLING_STRATEGY": "offset_uniform",
      # Context frames an embedding sees, the frame itself included.
      "NUM_STEPS": 2,
      # Frames of the source video between two context frames.
      "FRAME_STRIDE": 15,
      # Whether labels of frames are read where records have them.
      "FRAME_LABELS": True,
      # Share of the videos to train with, from the first on; 0 = one video.
      "PER_DATASET_FRACTION": 1.0,
      # Record files hold one class each: match *<split>* of any name.
      "PER_CLASS": False,
      # Every so many frames are embedded for evaluation.
      "SAMPLE_ALL_STRIDE": 1,
    },
    "AUGMENTATION": {
      # Mirror left to right, for every second video.
      "RANDOM_FLIP": True,
      # Square crop of 0.8 to 1 of the shorter side.
      "RANDOM_CROP": False,
      "BRIGHTNESS": True,
      # Largest change of brightness, as a share of white.
      "BRIGHTNESS_MAX_DELTA": 32.0 / 255,
      "CONTRAST": True,
      "CONTRAST_LOWER": 0.5,
      "CONTRAST_UPPER": 1.5,
      "HUE": False,
      # Largest turn of the hue, as a share of the circle.
      "HUE_MAX_DELTA": 0.2,
      "SATURATION": False,
      "SATURATION_LOWER": 0.5,
      "SATURATION_UPPER": 1.5,
    },
    "LOGGING": {
      # Steps between two lines of the log and points of the curves.
      "REPORT_INTERVAL": 100,
    },
    "CHECKPOINT": {
      # Steps between two checkpoints; one is also saved at the first and last.
      "SAVE_INTERVAL": 1000,
      # How many of the last checkpoints are kept; one an hour is kept for good.
      "MAX_TO_KEEP": 10,
    },
  }
)

# Values a setting may have, where they are few; lists are checked item by item.
CHOICES = {
  "TRAINING_ALGO": (
    "alignment",
    "sal",
    "tcn",
    "alignment_sal_tcn",
    "classification",
  ),
  "PRECISION": ("float32", "bfloat16", "auto"),
  "EVAL.TASKS": (
    "algo_loss",
    "classification",
    "kendalls_tau",
    "event_completion",
    "few_shot_classification",
    "retrieval",
    "cycle_consistency",
  ),
  "EVAL.KENDALLS_TAU_DISTANCE": ("sqeuclidean", "cosine"),
  "MODEL.EMBEDDER_TYPE": ("conv", "convgru"),
  "MODEL.TRAIN_BASE": ("train_all", "only_bn", "frozen"),
  "MODEL.CONV_EMBEDDER_MODEL.FLATTEN_METHOD": (
    "max_pool",
    "avg_pool",
    "flatten",
  ),
  "ALIGNMENT.LOSS_TYPE": (
    "classification",
    "regression_mse",
    "regression_mse_var",
    "regression_huber",
  ),
  "ALIGNMENT.SIMILARITY_TYPE": ("l2", "cosine"),
  "OPTIMIZER.TYPE": ("AdamOptimizer", "MomentumOptimizer"),
  "OPTIMIZER.LR.DECAY_TYPE": ("fixed", "exp_decay", "manual", "poly"),
  "DATA.SAMPLING_STRATEGY": ("offset_uniform", "stride"),
}

# Closed ranges of numbers; None = no bound. Lists are checked number by number.
RANGES = {
  "IMAGE_SIZE": (16, None),
  "SEED": (0, 2**32 - 1),
  "TRAIN.MAX_ITERS": (0, None),
  "TRAIN.BATCH_SIZE": (1, None),
  "TRAIN.NUM_FRAMES": (2, None),
  "TRAIN.VISUALIZE_INTERVAL": (1, None),
  "EVAL.BATCH_SIZE": (1, None),
  "EVAL.NUM_FRAMES": (2, None),
  "EVAL.VAL_ITERS": (1, None),
  "EVAL.FRAMES_PER_BATCH": (1, None),
  "EVAL.KENDALLS_TAU_STRIDE": (1, None),
  "EVAL.CLASSIFICATION_FRACTIONS": (0, 1),
  "EVAL.FEW_SHOT_NUM_LABELED": (1, None),
  "EVAL.FEW_SHOT_NUM_EPISODES": (1, None),
  "EVAL.RETRIEVAL_K": (1, None),
  "MODEL.L2_REG_WEIGHT": (0, None),
  "MODEL.BATCH_NORM_MOMENTUM": (0, 1),
  "MODEL.CONV_EMBEDDER_MODEL.CONV_LAYERS": (1, None),
  "MODEL.CONV_EMBEDDER_MODEL.FC_LAYERS": (1, None),
  "MODEL.CONV_EMBEDDER_MODEL.CAPACITY_SCALAR": (1e-3, None),
  "MODEL.CONV_EMBEDDER_MODEL.EMBEDDING_SIZE": (1, None),
  "MODEL.CONV_EMBEDDER_MODEL.BASE_DROPOUT_RATE": (0, 0.99),
  "MODEL.CONV_EMBEDDER_MODEL.FC_DROPOUT_RATE": (0, 0.99),
  "MODEL.CONVGRU_EMBEDDER_MODEL.CONV_LAYERS": (1, None),
  "MODEL.CONVGRU_EMBEDDER_MODEL.GRU_LAYERS": (1, None),
  "MODEL.CONVGRU_EMBEDDER_MODEL.DROPOUT_RATE": (0, 0.99),
  "ALIGNMENT.CYCLE_LENGTH": (2, None),
  "ALIGNMENT.LABEL_SMOOTHING": (0, 1),
  "ALIGNMENT.SOFTMAX_TEMPERATURE": (1e-9, None),
  "ALIGNMENT.VARIANCE_LAMBDA": (0, None),
  "ALIGNMENT.FRACTION": (0, None),
  "ALIGNMENT.HUBER_DELTA": (1e-9, None),
  "SAL.FC_LAYERS": (1, None),
  "SAL.DROPOUT_RATE": (0, 0.99),
  "SAL.SHUFFLE_FRACTION": (0, 1),
  "SAL.NUM_SAMPLES": (1, None),
  "SAL.LABEL_SMOOTHING": (0, 1),
  "TCN.POSITIVE_WINDOW": (1, None),
  "TCN.REG_LAMBDA": (0, None),
  "ALIGNMENT_SAL_TCN.ALIGNMENT_LOSS_WEIGHT": (0, 1),
  "ALIGNMENT_SAL_TCN.SAL_LOSS_WEIGHT": (0, 1),
  "CLASSIFICATION.NUM_CLASSES": (0, None),
  "CLASSIFICATION.LABEL_SMOOTHING": (0, 1),
  "CLASSIFICATION.DROPOUT_RATE": (0, 0.99),
  "OPTIMIZER.LR.INITIAL_LR": (0, None),
  "OPTIMIZER.LR.EXP_DECAY_RATE": (0, None),
  "OPTIMIZER.LR.EXP_DECAY_STEPS": (1, None),
  "OPTIMIZER.LR.MANUAL_LR_STEP_BOUNDARIES": (0, None),
  "OPTIMIZER.LR.MANUAL_LR_DECAY_RATE": (0, None),
  "OPTIMIZER.LR.NUM_WARMUP_STEPS": (0, None),
  "DATA.SHUFFLE_QUEUE_SIZE": (0, None),
  "DATA.NUM_PREFETCH_BATCHES": (0, None),
  "DATA.RANDOM_OFFSET": (0, None),
  "DATA.STRIDE": (1, None),
  "DATA.NUM_STEPS": (1, None),
  "DATA.FRAME_STRIDE": (1, None),
  "DATA.PER_DATASET_FRACTION": (0, 1),
  "DATA.SAMPLE_ALL_STRIDE": (1, None),
  "AUGMENTATION.BRIGHTNESS_MAX_DELTA": (0, 1),
  "AUGMENTATION.CONTRAST_LOWER": (0, None),
  "AUGMENTATION.CONTRAST_UPPER": (0, None),
  "AUGMENTATION.HUE_MAX_DELTA": (0, 0.5),
  "AUGMENTATION.SATURATION_LOWER": (0, None),
  "AUGMENTATION.SATURATION_UPPER": (0, None),
  "LOGGING.REPORT_INTERVAL": (1, None),
  "CHECKPOINT.SAVE_INTERVAL": (1, None),
  "CHECKPOINT.MAX_TO_KEEP": (1, None),
}

NON_EMPTY = (
  "DATASETS",
  "EVAL.TASKS",
  "EVAL.CLASSIFICATION_FRACTIONS",
  "EVAL.FEW_SHOT_NUM_LABELED",
  "EVAL.RETRIEVAL_K",
  "MODEL.CONVGRU_EMBEDDER_MODEL.GRU_LAYERS",
)

# Of each pair, the first may not be greater than the second.
_BOUNDS = (
  ("AUGMENTATION.CONTRAST_LOWER", "AUGMENTATION.CONTRAST_UPPER"),
  ("AUGMENTATION.SATURATION_LOWER", "AUGMENTATION.SATURATION_UPPER"),
)

# Where `~` is the home folder. PATH_TO_TFRECORDS names a folder a data set,
# see dataset_info.records_folder.
_PATHS = (
  "LOGDIR",
  "MODEL.BASE_MODEL.NETWORK",
  "MODEL.RESNET_PRETRAINED_WEIGHTS",
)

_RULES = Rules(CONFIG, CHOICES, RANGES, NON_EMPTY)


def load(
  files: Iterable[str | os.PathLike] = (), settings: Sequence[str] = ()
) -> EasyDict:
  """Merges files, then single settings, over a copy of the defaults.

  Args:
    files: YAML files, each with any part of the tree of `CONFIG`.
    settings: Single values such as `TRAIN.MAX_ITERS=100`.

  Returns:
    The complete, checked configuration.

  Raises:
    UserError: A file can't be read, a key is unknown, or a value has the wrong
      type or lies outside its choices or range.
  """
  config = copy.deepcopy(CONFIG)
  for path in files:
    merge(config, _read_yaml(path), str(path), _RULES)
  for setting in settings:
    merge(config, _parse_setting(setting), "--set", _RULES)
  _check_bounds(config)
  for key in _PATHS:
    section, _, name = key.rpartition(".")
    path = os.path.expanduser(value_of(config, key))
    value_of(config, section)[name] = path
  return config


def _check_bounds(config: EasyDict) -> None:
  """Raises a UserError if a lower bound is above its upper bound."""
  for lower, upper in _BOUNDS:
    low, high = value_of(config, lower), value_of(config, upper)
    if low > high:
      raise UserError(
        f"{lower}: expected at most {upper}, {high}; received {low}, set both"
      )


def for_run(
  logdir: str | None,
  file: str | None = None,
  settings: Sequence[str] = (),
) -> EasyDict:
  """The configuration of a run, as `train.py` sees it.

  A `config.yml` that is already in the log directory counts as the run's
  defaults; `--config` and `--set` go over it.

  Args:
    logdir: The log directory; None takes LOGDIR of the configuration.
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


def of_logdir(logdir: str | os.PathLike) -> EasyDict:
  """Reads the configuration that training left in a log directory.

  Args:
    logdir: The log directory of a run.

  Returns:
    The configuration with LOGDIR set to `logdir`.

  Raises:
    UserError: There is none, or it is not valid.
  """
  logdir = os.path.expanduser(logdir)
  path = run_directory.config_file(logdir)
  if not path.exists():
    raise UserError(
      f"{path}: not found; expected the log directory of a training run, start"
      f" one with `python train.py --logdir {logdir}`"
    )
  config = load([path])
  config.LOGDIR = logdir
  return config


def unused_settings(config: EasyDict) -> list[str]:
  """Full keys of what was set for an embedder that is not used."""
  used = f"{config.MODEL.EMBEDDER_TYPE.upper()}_EMBEDDER_MODEL."
  return [
    f"MODEL.{key}"
    for key in differences(config.MODEL, CONFIG.MODEL)
    if "_EMBEDDER_MODEL." in key and not key.startswith(used)
  ]


def save(config: EasyDict, logdir: str | os.PathLike) -> None:
  """Writes a configuration to `config.yml` in a log directory."""
  with atomic_write(run_directory.config_file(logdir)) as path:
    path.write_text(yaml.safe_dump(plain(config), sort_keys=False))


def _read_yaml(path: str | os.PathLike) -> dict[str, Any]:
  try:
    text = pathlib.Path(path).read_text()
  except OSError as error:
    raise UserError(
      f"{path}: can't be read ({error.strerror}); expected a YAML configuration"
    ) from error
  except UnicodeDecodeError as error:
    raise UserError(
      f"{path}: is no text in UTF-8 ({error}); expected a YAML configuration"
    ) from error
  content = strict_yaml.parse(text, f"{path}")
  if content is None:
    return {}
  if not isinstance(content, dict):
    raise UserError(
      f"{path}: expected keys and values such as `IMAGE_SIZE: 112`, received"
      f" {content!r}"
    )
  return content


def _parse_setting(setting: str) -> dict[str, Any]:
  key, separator, text = setting.partition("=")
  if not separator or not key:
    raise UserError(
      f"--set {setting}: expected KEY=value, such as TRAIN.MAX_ITERS=100"
    )
  value = strict_yaml.parse(text, f"--set {setting}")
  for name in reversed(key.split(".")):
    value = {name: value}
  return value
