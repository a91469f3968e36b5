import copy
import json

import pytest

import config as configuration
import evaluation
from core.errors import UserError
from core.settings import check_name, flatten
from tests.helpers.errors import message_of
from tests.helpers.paths import ROOT


def test_settings_go_over_a_partial_file_and_the_defaults(tmp_path):
  path = tmp_path / "part.yml"
  path.write_text("TRAIN:\n  MAX_ITERS: 7\nOPTIMIZER: {LR: {INITIAL_LR: 2}}\n")
  expected = copy.deepcopy(configuration.CONFIG)
  expected.TRAIN.MAX_ITERS = 7
  expected.OPTIMIZER.LR.INITIAL_LR = 2.0
  config = configuration.load([path])
  assert config == expected
  assert isinstance(config.OPTIMIZER.LR.INITIAL_LR, float)
  # YAML reads a number without a dot as text.
  layers = "MODEL.CONV_EMBEDDER_MODEL.CONV_LAYERS=[[8, 3, true]]"
  settings = ["OPTIMIZER.LR.INITIAL_LR=1e-3", "DATASETS=[a, b]", layers]
  config = configuration.load([path], settings)
  expected.OPTIMIZER.LR.INITIAL_LR = 0.001
  expected.DATASETS = ["a", "b"]
  expected.MODEL.CONV_EMBEDDER_MODEL.CONV_LAYERS = [[8, 3, True]]
  assert config == expected


NEED_NAMES = "DATASETS: expected a list such as ['pouring'], received"
NO_YAML = "expected valid YAML, received an error"
LR, AUGMENTATION = "OPTIMIZER.LR.INITIAL_LR", "AUGMENTATION"


@pytest.mark.parametrize(
  ("setting", "message"),
  [
    (
      "TRAIN.MAXITERS=3",
      "--set: expected a key of config.py, received TRAIN.MAXITERS; did you"
      " mean TRAIN.MAX_ITERS?",
    ),
    ("MAX_ITERS=3", "received MAX_ITERS; did you mean TRAIN.MAX_ITERS?"),
    ("TRIAN=3", "received TRIAN; did you mean TRAIN?"),
    ("SEED=ten", "--set: SEED: expected a whole number, received 'ten'"),
    ("TRAIN.MAX_ITERS=1.5", "MAX_ITERS: expected a whole number, received 1.5"),
    ("TRAIN.MAX_ITERS=true", "expected a whole number, received True"),
    ("MODEL.TRAIN_EMBEDDING=1", "expected true or false, received 1"),
    ("LOGDIR=[1]", "LOGDIR: expected text, received [1]"),
    ("DATASETS=pouring", f"{NEED_NAMES} 'pouring'"),
    ("DATASETS=['']", f"{NEED_NAMES} ['']"),
    ("DATASETS=[]", "DATASETS: expected at least one item, received []"),
    (
      "TRAIN=3",
      "--set: TRAIN: expected a section with the keys MAX_ITERS, BATCH_SIZE,"
      " NUM_FRAMES, VISUALIZE_INTERVAL, received 3",
    ),
    (
      "MODEL.TRAIN_BASE=only_batch_norm",
      "--set: MODEL.TRAIN_BASE: expected one of train_all, only_bn, frozen,"
      " received 'only_batch_norm'; did you mean only_bn?",
    ),
    (
      "EVAL.CLASSIFICATION_FRACTIONS=[0.5, 2]",
      "CLASSIFICATION_FRACTIONS: expected 0 to 1, received [0.5, 2]",
    ),
    ("EVAL.FEW_SHOT_NUM_LABELED=[1, x]", "a whole number, received [1, 'x']"),
    ("CHECKPOINT.MAX_TO_KEEP=0", "TO_KEEP: expected at least 1, received 0"),
    (f"{LR}=.nan", "expected a finite number, received nan"),
    (f"{LR}=.inf", "expected a finite number, received inf"),
    ("ALIGNMENT.HUBER_DELTA=0", "expected at least 1e-09, received 0"),
    ("SEED=4294967296", "expected 0 to 4294967295, received 4294967296"),
    (f"{AUGMENTATION}.HUE_MAX_DELTA=0.6", "expected 0 to 0.5, received 0.6"),
    (
      "MODEL.CONV_EMBEDDER_MODEL.FC_LAYERS=[[256]]",
      "FC_LAYERS: expected layers such as [256, True], received [[256]]",
    ),
    (
      "MODEL.CONVGRU_EMBEDDER_MODEL.CONV_LAYERS=[[-8, 3, false]]",
      "CONV_LAYERS: expected at least 1, received [[-8, 3, False]]",
    ),
    *(
      (
        f"{AUGMENTATION}.{name}_{end}",
        f"{AUGMENTATION}.{name}_LOWER: expected at most {AUGMENTATION}.{name}"
        f"_UPPER, {upper}, received {lower}; set both",
      )
      for name, end, lower, upper in (
        ("CONTRAST", "LOWER=1.6", 1.6, 1.5),
        ("SATURATION", "UPPER=0.4", 0.5, 0.4),
      )
    ),
    ("SEED", "--set: expected KEY=value such as TRAIN.MAX_ITERS=100, received"),
    (
      "LOGDIR=2020-13-45",
      f"--set LOGDIR=2020-13-45: {NO_YAML} (month must be in 1..12); correct"
      " it, or put text in quotes",
    ),
    ("SEED=0b_", f"--set SEED=0b_: {NO_YAML} (invalid literal for int()"),
    ("DATASETS=[a", f"--set DATASETS=[a: {NO_YAML} (expected ',' or ']', but"),
    ("LOGDIR=\x07", f"{NO_YAML} (unacceptable character"),
    ("TRAIN={A: 3, A: 4}", f"{NO_YAML} (the key A twice in line 1)"),
  ],
)
def test_mistakes_are_told_in_one_line(setting, message):
  assert message in message_of(configuration.load, [], [setting])


@pytest.mark.parametrize(
  ("content", "message"),
  [
    (None, r"expected a YAML file in UTF-8, received an error \(No such file"),
    (b"LOGDIR: \xff", "expected a YAML file in UTF-8, received an error"),
    (b"- a\n- b\n", "expected a section with the keys LOGDIR, DATASETS,"),
    (b"TRAIN: {STEPS: 3}", "expected a key of config.py, received TRAIN.STEPS"),
    (
      b"SEED: 3\nSEED: 4",
      r"expected valid YAML, received an error \(the key SEED twice in line 2",
    ),
  ],
)
def test_file_mistakes_name_the_file(tmp_path, content, message):
  path = tmp_path / "mine.yml"
  if content:
    path.write_bytes(content)
  with pytest.raises(UserError, match=f"^{path}: {message}"):
    configuration.load([path])
  with pytest.raises(UserError, match="config.yml: expected the configuration"):
    configuration.load_run(tmp_path)


def test_a_run_keeps_its_configuration(tmp_path, monkeypatch):
  """And a tilde is the home folder."""
  monkeypatch.setenv("HOME", str(tmp_path))
  weights = "MODEL.RESNET_PRETRAINED_WEIGHTS=~/weights.h5"
  network = "MODEL.BASE_MODEL.NETWORK=~/net.keras"
  settings = ["LOGDIR=~/logs", weights, network, "IMAGE_SIZE=64"]
  # Bounds count when all is merged.
  settings += [f"AUGMENTATION.CONTRAST_{end}=2" for end in ("LOWER", "UPPER")]
  config = configuration.load([], settings)
  assert config.LOGDIR == f"{tmp_path}/logs"
  assert config.MODEL.BASE_MODEL.NETWORK == f"{tmp_path}/net.keras"
  assert config.MODEL.RESNET_PRETRAINED_WEIGHTS == f"{tmp_path}/weights.h5"
  configuration.save(config, tmp_path / "logs")
  assert configuration.load_run("~/logs") == config
  empty = tmp_path / "empty.yml"
  empty.write_text("# Nothing.\n")
  assert configuration.merge_run("~/logs", str(empty)) == config
  config.DATASETS = ["b"]
  assert configuration.merge_run("~/logs", None, ["DATASETS=[b]"]) == config


def test_shipped_configurations_are_valid():
  """The README's tables show numbers of each task."""
  shipped = {x.name: x for x in (ROOT / "configs").glob("*.yml")}
  shipped = {name: configuration.load([x]) for name, x in shipped.items()}
  for name in ("demo.yml", "g1_bottle.yml"):
    assert sorted(shipped[name].EVAL.TASKS) == sorted(evaluation.TASKS)
  papers = "algo_loss classification few_shot_classification event_completion"
  assert configuration.load().EVAL.TASKS == [*papers.split(), "kendalls_tau"]


def test_defaults_are_allowed_values():
  defaults = flatten(configuration.CONFIG).items()
  settings = [f"{key}={json.dumps(value)}" for key, value in defaults]
  assert configuration.load([], settings) == configuration.CONFIG


@pytest.mark.parametrize("names", ["convgur", ["conv", "convgur"]])
def test_names_are_checked_against_a_registry(names):
  check_name("KEY", "conv", {"conv": 1, "convgru": 2})
  check_name("KEY", ["convgru"], {"conv": 1, "convgru": 2})
  assert message_of(check_name, "KEY", names, {"conv": 1, "convgru": 2}) == (
    "KEY: expected one of conv, convgru, received 'convgur'; did you mean"
    " convgru?"
  )
