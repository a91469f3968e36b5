import pytest

import config as configuration
import evaluation
from core.errors import UserError
from tests.helpers.paths import ROOT

CONFIGS = ROOT / "configs"


def test_partial_file_keeps_the_other_defaults(tmp_path):
  path = tmp_path / "part.yml"
  path.write_text("TRAIN:\n  MAX_ITERS: 7\nOPTIMIZER: {LR: {INITIAL_LR: 2}}\n")
  config = configuration.load([path])
  assert config.TRAIN.MAX_ITERS == 7
  assert config.OPTIMIZER.LR.INITIAL_LR == 2.0
  assert isinstance(config.OPTIMIZER.LR.INITIAL_LR, float)
  config.TRAIN.MAX_ITERS = configuration.CONFIG.TRAIN.MAX_ITERS
  config.OPTIMIZER.LR.INITIAL_LR = 1e-4
  assert config == configuration.CONFIG


def test_settings_go_over_files_and_numbers_may_lack_a_dot(tmp_path):
  path = tmp_path / "part.yml"
  path.write_text("TRAIN: {MAX_ITERS: 7}")
  config = configuration.load(
    [path],
    [
      "TRAIN.MAX_ITERS=9",
      "OPTIMIZER.LR.INITIAL_LR=1e-3",
      "DATASETS=[a, b]",
      "MODEL.CONV_EMBEDDER_MODEL.CONV_LAYERS=[[8, 3, true]]",
    ],
  )
  assert config.TRAIN.MAX_ITERS == 9
  assert config.OPTIMIZER.LR.INITIAL_LR == 0.001
  assert config.DATASETS == ["a", "b"]
  assert config.MODEL.CONV_EMBEDDER_MODEL.CONV_LAYERS == [[8, 3, True]]


@pytest.mark.parametrize(
  ("setting", "message"),
  [
    (
      "TRAIN.MAXITERS=3",
      "--set: unknown key TRAIN.MAXITERS; did you mean TRAIN.MAX_ITERS?",
    ),
    ("MAX_ITERS=3", "unknown key MAX_ITERS; did you mean TRAIN.MAX_ITERS?"),
    (
      "TRAIN.MAX_ITERS=ten",
      "TRAIN.MAX_ITERS expects a whole number; received 'ten'",
    ),
    ("TRAIN.MAX_ITERS=1.5", "expects a whole number; received 1.5"),
    ("TRAIN.MAX_ITERS=true", "expects a whole number; received True"),
    ("MODEL.TRAIN_EMBEDDING=1", "expects true or false; received 1"),
    ("LOGDIR=[1]", "LOGDIR expects text; received [1]"),
    ("DATASETS=pouring", "expects a list such as ['pouring']"),
    ("TRAIN=3", "TRAIN is a section with the keys MAX_ITERS, BATCH_SIZE"),
    (
      "MODEL.TRAIN_BASE=only_batch_norm",
      "MODEL.TRAIN_BASE expects one of train_all, only_bn, frozen; received"
      " 'only_batch_norm', did you mean only_bn?",
    ),
    ("EVAL.CLASSIFICATION_FRACTIONS=[0.5, 2]", "expects 0 to 1; received 2.0"),
    ("DATASETS=[]", "DATASETS expects at least one item; received []"),
    ("ALIGNMENT.CYCLE_LENGTH=1", "expects at least 2; received 1"),
    (
      "MODEL.CONV_EMBEDDER_MODEL.FC_LAYERS=[[256]]",
      "a list of layers such as [256, True]",
    ),
    ("OPTIMIZER.LR.INITIAL_LR=.nan", "expects a finite number; received nan"),
    ("OPTIMIZER.LR.INITIAL_LR=.inf", "expects a finite number; received inf"),
    ("ALIGNMENT.HUBER_DELTA=0", "expects at least 1e-09; received 0.0"),
    ("OPTIMIZER.LR.EXP_DECAY_RATE=-1", "expects at least 0; received -1.0"),
    (
      "OPTIMIZER.LR.MANUAL_LR_DECAY_RATE=-0.1",
      "expects at least 0; received -0.1",
    ),
    (
      "MODEL.CONV_EMBEDDER_MODEL.CONV_LAYERS=[[8, 0, true]]",
      "CONV_LAYERS expects at least 1; received 0",
    ),
    (
      "MODEL.CONVGRU_EMBEDDER_MODEL.CONV_LAYERS=[[-8, 3, false]]",
      "CONV_LAYERS expects at least 1; received -8",
    ),
    (
      "MODEL.CONV_EMBEDDER_MODEL.FC_LAYERS=[[8, true], [0, true]]",
      "FC_LAYERS expects at least 1; received 0",
    ),
    ("SAL.FC_LAYERS=[[0, true], [2, false]]", "expects at least 1; received 0"),
    ("DATASETS=['']", "DATASETS expects a list of names such as ['pouring']"),
    (
      "EVAL.TASKS=[algo_loss, kendall_tau]",
      "received 'kendall_tau', did you mean kendalls_tau?",
    ),
    ("TRAIN.MAX_ITERS", "expected KEY=value, such as TRAIN.MAX_ITERS=100"),
    (
      "EVAL.FEW_SHOT_NUM_LABELED=[1,'']",
      "FEW_SHOT_NUM_LABELED expects a whole number; received [1, '']",
    ),
    (
      "LOGDIR=2020-13-45",
      "--set LOGDIR=2020-13-45: is not valid YAML (month must be in 1..12); put"
      " text in quotes",
    ),
    (
      "SEED=0b_",
      "--set SEED=0b_: is not valid YAML (invalid literal for int()",
    ),
    (
      "DATASETS=[a",
      "--set DATASETS=[a: is not valid YAML, line 1: expected ',' or ']'",
    ),
    ("LOGDIR=\x07", "LOGDIR=\x07: is not valid YAML (unacceptable character"),
    (
      "TRAIN={MAX_ITERS: 3, MAX_ITERS: 4}",
      "line 1: has the key MAX_ITERS twice, remove one",
    ),
    ("SEED=-1", "SEED expects 0 to 4294967295; received -1"),
    ("SEED=4294967296", "SEED expects 0 to 4294967295; received 4294967296"),
    ("AUGMENTATION.BRIGHTNESS_MAX_DELTA=32", "expects 0 to 1; received 32.0"),
    ("AUGMENTATION.HUE_MAX_DELTA=0.6", "expects 0 to 0.5; received 0.6"),
    ("AUGMENTATION.SATURATION_LOWER=-1", "expects at least 0; received -1.0"),
    (
      "AUGMENTATION.CONTRAST_LOWER=1.6",
      "AUGMENTATION.CONTRAST_LOWER: expected at most"
      " AUGMENTATION.CONTRAST_UPPER, 1.5; received 1.6, set both",
    ),
    (
      "AUGMENTATION.SATURATION_UPPER=0.4",
      "AUGMENTATION.SATURATION_LOWER: expected at most"
      " AUGMENTATION.SATURATION_UPPER, 0.4; received 0.5, set both",
    ),
    (
      "ALIGNMENT_SAL_TCN.SAL_LOSS_WEIGHT=-0.1",
      "ALIGNMENT_SAL_TCN.SAL_LOSS_WEIGHT expects 0 to 1; received -0.1",
    ),
  ],
)
def test_mistakes_are_told_in_one_line(setting, message):
  with pytest.raises(UserError) as error:
    configuration.load([], [setting])
  assert message in str(error.value)
  assert "\n" not in str(error.value)


def test_file_mistakes_name_the_file(tmp_path):
  path = tmp_path / "mine.yml"
  with pytest.raises(UserError, match="mine.yml: can't be read"):
    configuration.load([path])
  path.write_text("- a\n- b\n")
  with pytest.raises(UserError, match="mine.yml: expected keys and values"):
    configuration.load([path])
  path.write_text("TRAIN: {STEPS: 3}")
  with pytest.raises(UserError, match="mine.yml: unknown key TRAIN.STEPS"):
    configuration.load([path])
  path.write_text("TRAIN:\n  MAX_ITERS: 3\n  NUM_FRAMES: 4\n  MAX_ITERS: 5\n")
  with pytest.raises(UserError) as error:
    configuration.load([path])
  assert str(error.value) == (
    f"{path}: is not valid YAML, line 4: has the key MAX_ITERS twice, remove"
    " one"
  )
  path.write_bytes(b"LOGDIR: \xff")
  with pytest.raises(UserError, match="mine.yml: is no text in UTF-8"):
    configuration.load([path])


def test_bounds_are_checked_when_all_is_merged():
  config = configuration.load(
    [], ["AUGMENTATION.CONTRAST_LOWER=2", "AUGMENTATION.CONTRAST_UPPER=2"]
  )
  assert config.AUGMENTATION.CONTRAST_LOWER == 2


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
  monkeypatch.setenv("HOME", str(tmp_path))
  config = configuration.load(
    [],
    [
      "LOGDIR=~/logs",
      "MODEL.BASE_MODEL.NETWORK=~/net.keras",
      "MODEL.RESNET_PRETRAINED_WEIGHTS=~/weights.h5",
    ],
  )
  assert config.LOGDIR == f"{tmp_path}/logs"
  assert config.MODEL.BASE_MODEL.NETWORK == f"{tmp_path}/net.keras"
  assert config.MODEL.RESNET_PRETRAINED_WEIGHTS == f"{tmp_path}/weights.h5"
  configuration.save(config, tmp_path / "logs")
  assert configuration.load_run("~/logs") == config
  assert configuration.merge_run("~/logs") == config


def test_saved_configuration_is_read_back_and_used(tmp_path):
  config = configuration.load([], ["IMAGE_SIZE=64", "DATASETS=[a]"])
  configuration.save(config, tmp_path)
  config.LOGDIR = str(tmp_path)
  assert configuration.load_run(tmp_path) == config
  again = configuration.merge_run(str(tmp_path), None, ["DATASETS=[b]"])
  assert (again.IMAGE_SIZE, again.DATASETS) == (64, ["b"])


def test_directory_without_configuration_is_named(tmp_path):
  with pytest.raises(UserError, match=r"config.yml: not found; expected the"):
    configuration.load_run(tmp_path)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yml")), ids=str)
def test_shipped_configurations_are_valid(path):
  assert configuration.load([path])


def test_the_default_tasks_are_those_of_the_paper():
  assert configuration.load().EVAL.TASKS == [
    "algo_loss",
    "classification",
    "few_shot_classification",
    "event_completion",
    "kendalls_tau",
  ]


@pytest.mark.parametrize("name", ["demo.yml", "g1_bottle.yml"])
def test_published_results_have_all_tasks(name):
  """The README's tables show numbers of each."""
  tasks = configuration.load([CONFIGS / name]).EVAL.TASKS
  assert sorted(tasks) == sorted(evaluation.TASKS)


def test_tasks_are_those_of_the_registry():
  assert set(configuration.CHOICES["EVAL.TASKS"]) == set(evaluation.TASKS)


def test_choices_and_ranges_name_existing_keys_and_fit_the_defaults():
  for key in (*configuration.CHOICES, *configuration.RANGES):
    default = configuration.CONFIG
    for name in key.split("."):
      default = default[name]
    text = str(default).replace("'", "")
    assert configuration.load([], [f"{key}={text}"]) == configuration.CONFIG
