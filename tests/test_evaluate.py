import contextlib
import functools
import json
import math
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import config as configuration
import embeddings
import evaluate
import train
from algos.algorithm import Algorithm
from core import run_directory
from core.errors import UserError
from data import dataset_info
from embeddings import extraction
from evaluation import TASKS, Result, metrics
from evaluation.checkpoint_queue import evaluator_lock
from tests.helpers import tiny_run
from tests.helpers.paths import ROOT
from training import checkpoints

pytestmark = pytest.mark.usefixtures("one_replica")


@pytest.fixture(scope="module")
def trained(one_replica, tiny_records, tmp_path_factory):
  """The log directory of a run with checkpoints at steps 0, 2 and 4."""
  folder = tmp_path_factory.mktemp("trained")
  train.train(tiny_run.config(tiny_records, folder))
  return folder


@pytest.fixture
def copy(trained, tmp_path):
  """The same, to be changed."""
  return pathlib.Path(shutil.copytree(trained, tmp_path / "copy"))


def test_evaluation_of_all_checkpoints(tiny_records, tmp_path, capsys):
  config = tiny_run.config(tiny_records, tmp_path)
  train.train(config)
  evaluate.evaluate(config, continuous_eval=False)
  assert list(metrics.read(tmp_path)) == [4]
  evaluate.evaluate(config)
  results = metrics.read(tmp_path)
  assert list(results) == [0, 2, 4]
  logged = tiny_run.curves(tmp_path / "eval_logs")
  for step, scalars in results.items():
    assert {
      "algo_loss/val_loss",
      "classification/val_tiny_1.0_accuracy",
      "few_shot_cxn/val_tiny_1_accuracy",
      "event_completion/val_tiny_1.0_score",
      "kendalls_tau/tiny_val_align_tau",
      "metrics/tiny_kendalls_tau",
      "metrics/all_kendalls_tau",
    } <= set(scalars)
    for tag, value in scalars.items():
      if math.isfinite(value):
        assert logged[tag][step] == pytest.approx(value, rel=1e-6)
  table = capsys.readouterr().out
  assert "kendalls_tau/tiny_val_align_tau" in table
  assert "step 0" in table and "step 4" in table
  evaluate.evaluate(config)
  lines = (tmp_path / "eval_logs" / "metrics.jsonl").read_text().splitlines()
  assert [json.loads(line)["step"] for line in lines] == [4, 0, 2]


def test_a_run_on_two_data_sets(tmp_path):
  names = ("tiny", "other")
  for seed, name in enumerate(names):
    folder = tmp_path / f"{name}_records"
    folder.mkdir()
    tiny_run.write_records(folder, name, seed)
  config = tiny_run.config(
    tmp_path / "%s_records",
    tmp_path / "logs",
    "DATASETS=[tiny, other]",
    "TRAIN.MAX_ITERS=2",
  )
  train.train(config)
  evaluate.evaluate(config)
  results = metrics.read(config.LOGDIR)
  assert list(results) == [0, 2]
  for scalars in results.values():
    for name in names:
      assert {
        f"classification/val_{name}_1.0_accuracy",
        f"few_shot_cxn/val_{name}_1_accuracy",
        f"kendalls_tau/{name}_val_align_tau",
        f"retrieval/val_{name}_ap@5",
        f"cycle_consistency/val_{name}_2way",
      } <= set(scalars)
    for task in config.EVAL.TASKS:
      of_both = [scalars[f"metrics/{name}_{task}"] for name in names]
      assert scalars[f"metrics/all_{task}"] == pytest.approx(np.mean(of_both))
    losses = [scalars[f"metrics/{name}_algo_loss"] for name in names]
    assert losses[0] != losses[1]
    assert scalars["algo_loss/val_loss"] == pytest.approx(np.mean(losses))


def test_mean_of_the_data_sets_that_gave_a_number():
  def result(value, loss):
    scalars = {"algo_loss/val_loss": loss, "algo_loss/train_loss": 1.0}
    return Result(value, scalars)

  nan = math.nan
  results = {
    "a": {"t": result(0.5, nan), "u": result(nan, nan)},
    "b": {"t": result(nan, 3.0), "u": result(nan, nan)},
    "c": {"t": result(1.0, 6.0), "u": Result.empty()},
  }
  scalars = evaluate.gather_scalars(
    {name: {"t": of_task["t"]} for name, of_task in results.items()}
  )
  assert scalars["metrics/all_t"] == 0.75
  assert math.isnan(scalars["metrics/b_t"])
  assert scalars["algo_loss/val_loss"] == 4.5
  assert scalars["algo_loss/train_loss"] == 1
  scalars = evaluate.gather_scalars(
    {name: {"u": of_task["u"]} for name, of_task in results.items()}
  )
  assert math.isnan(scalars["metrics/all_u"])
  assert math.isnan(scalars["algo_loss/val_loss"])
  assert "metrics/c_u" not in scalars


def test_all_checkpoints_share_one_compiled_network(copy, monkeypatch):
  config = configuration.of_logdir(copy)
  config.EVAL.TASKS = ["algo_loss", "kendalls_tau"]
  traced = []
  features = Algorithm.features

  def counted(*arguments):
    traced.append(1)
    return features(*arguments)

  monkeypatch.setattr(Algorithm, "features", counted)
  evaluate.evaluate(config)
  assert list(metrics.read(copy)) == [0, 2, 4]
  # Once to embed videos, once for the loss.
  assert len(traced) == 2


def test_all_tasks_share_one_embedding_of_each_split(copy, monkeypatch):
  embedded = []
  embed_split = extraction.embed_split

  def counted(embed_video, config, dataset, split, *rest):
    embedded.append((dataset, split))
    return embed_split(embed_video, config, dataset, split, *rest)

  monkeypatch.setattr(extraction, "embed_split", counted)
  config = configuration.of_logdir(copy)
  assert set(config.EVAL.TASKS) == set(TASKS)
  evaluate.evaluate(config)
  assert list(metrics.read(copy)) == [0, 2, 4]
  assert embedded == 3 * [("tiny", "train"), ("tiny", "val")]
  # TensorBoard reads slowly from many small files.
  assert len(list((copy / "eval_logs").glob("events.*"))) == 1


def test_an_evaluation_of_some_videos_is_not_for_good(copy, capsys):
  config = configuration.of_logdir(copy)
  config.EVAL.TASKS = ["kendalls_tau"]
  evaluate.evaluate(config, max_embs=2)
  assert evaluated_steps(copy) == [0, 2, 4]
  assert metrics.read(copy) == {}
  lines = (copy / "eval_logs" / "metrics.jsonl").read_text().splitlines()
  for details in (json.loads(line)["details"] for line in lines):
    assert details["max_embs"] == 2
    assert details["kendalls_tau/tiny_val"]["videos"] == 2
  assert "step 4: of 2 videos of a split only" in capsys.readouterr().out
  # Started again with as many it has nothing to do, and says what there is.
  evaluate.evaluate(config, max_embs=2)
  assert evaluated_steps(copy) == [0, 2, 4]
  assert "kendalls_tau/tiny_val_align_tau" in capsys.readouterr().out
  evaluate.evaluate(config)
  assert evaluated_steps(copy) == [0, 2, 4, 0, 2, 4]
  assert list(metrics.read(copy)) == [0, 2, 4]
  assert "--max_embs" not in capsys.readouterr().out.split("step 4")[-1]
  evaluate.evaluate(config)
  assert evaluated_steps(copy) == [0, 2, 4, 0, 2, 4]
  assert "kendalls_tau/tiny_val_align_tau" in capsys.readouterr().out


@pytest.mark.parametrize("continuous", [False, True])
def test_a_second_evaluator_is_refused(copy, continuous):
  config = configuration.of_logdir(copy)
  with evaluator_lock(copy):
    with pytest.raises(UserError, match="another evaluator is at work on this"):
      evaluate.evaluate(config, continuous_eval=continuous)
  assert metrics.read(copy) == {}


def test_nothing_is_embedded_for_the_loss_alone(copy, monkeypatch):
  def unwanted(*arguments):
    raise AssertionError(arguments)

  monkeypatch.setattr(extraction, "embed_split", unwanted)
  config = configuration.of_logdir(copy)
  config.EVAL.TASKS = ["algo_loss"]
  evaluate.evaluate(config, continuous_eval=False)
  assert math.isfinite(metrics.read(copy)[4]["algo_loss/val_loss"])


def test_a_damaged_record_in_the_batches_of_the_loss_is_named(copy, tmp_path):
  config = configuration.of_logdir(copy)
  config.EVAL.TASKS = ["algo_loss"]
  records = shutil.copytree(config.PATH_TO_TFRECORDS, tmp_path / "records")
  config.PATH_TO_TFRECORDS = str(records)
  [path] = records.glob("tiny_val-*")
  content = bytearray(path.read_bytes())
  content[-2000] ^= 1
  path.write_bytes(content)
  with pytest.raises(UserError) as error:
    evaluate.evaluate(config, continuous_eval=False)
  assert f"{path}: record at byte" in str(error.value)
  assert "expected data that fit their checksum" in str(error.value)
  assert "\n" not in str(error.value)


def test_a_wrong_dataset_json_stops_before_anything_is_embedded(
  copy, tmp_path, monkeypatch
):
  monkeypatch.setattr(evaluate, "_evaluator", None)
  config = configuration.of_logdir(copy)
  records = shutil.copytree(config.PATH_TO_TFRECORDS, tmp_path / "records")
  config.PATH_TO_TFRECORDS = str(records)
  (records / "dataset.json").write_text("{")
  with pytest.raises(UserError, match="dataset.json: expected JSON with"):
    evaluate.evaluate(config)


def test_what_several_tasks_find_is_told_once(monkeypatch):
  told = []
  monkeypatch.setattr(
    "absl.logging.warning", lambda text, *args: told.append(text % args)
  )
  config = configuration.load()
  names = ["classification", "event_completion", "few_shot_classification"]
  tasks = {name: TASKS[name](config) for name in names}
  videos = {"embs": [np.zeros((4, 2))], "labels": [np.full(4, -1)]}
  results = evaluate.run_on_embeddings(
    tasks, "toy", {"train": videos, "val": videos}
  )
  assert len(told) == 1
  assert "no usable frame labels in train and val" in told[0]
  assert all(result.scalars == {} for result in results.values())


def test_directory_without_checkpoint_is_named(tiny_records, tmp_path):
  config = tiny_run.config(tiny_records, tmp_path)
  with pytest.raises(UserError, match="holds no checkpoint; expected ckpt-"):
    evaluate.evaluate(config)


def test_a_damaged_checkpoint_is_told_and_the_others_evaluated(copy):
  data = copy / "ckpt-2.data-00000-of-00001"
  data.write_bytes(data.read_bytes()[:100])
  config = configuration.of_logdir(copy)
  with pytest.raises(
    UserError, match="step 2 could not be evaluated: "
  ) as info:
    evaluate.evaluate(config)
  assert "ckpt-2: does not fit the network of its config.yml or is" in str(
    info.value
  )
  assert list(metrics.read(copy)) == [0, 4]


def test_a_line_cut_short_by_an_interruption_is_made_up_for(copy):
  config = configuration.of_logdir(copy)
  evaluate.evaluate(config)
  file = copy / "eval_logs" / "metrics.jsonl"
  whole = file.read_bytes()
  expected = metrics.read(copy)
  file.write_bytes(whole[:-40])
  assert list(metrics.read(copy)) == [0, 2]
  evaluate.evaluate(config)
  assert list(metrics.read(copy)) == [0, 2, 4]
  np.testing.assert_equal(metrics.read(copy), expected)


def test_details_are_beside_the_scalars(copy):
  evaluate.evaluate(configuration.of_logdir(copy), continuous_eval=False)
  line = json.loads((copy / "eval_logs" / "metrics.jsonl").read_text())
  details = line["details"]
  assert details["classification/tiny_1.0_used"]["train"]["videos"] == 4
  assert details["classification/val_tiny_titles"] == {}
  taus = details["kendalls_tau/tiny_val"]["video_taus"]
  assert set(taus) <= {"val0", "val1", "val2"}


def test_names_of_phases_come_from_dataset_json(copy, tmp_path, capsys):
  config = configuration.of_logdir(copy)
  records = tmp_path / "records"
  shutil.copytree(config.PATH_TO_TFRECORDS, records)
  info = dataset_info.SplitInfo(3, 40, phase_counts={"2": 1})
  names = ("reach", "pour", "rest")
  dataset_info.add_split(records, "tiny", "val", info, names)
  config.PATH_TO_TFRECORDS = str(records)
  evaluate.evaluate(config, continuous_eval=False)
  table = capsys.readouterr().out
  assert "classification/val_tiny_phase_2_accuracy (rest) " in table


def test_images_are_logged_on_demand(copy):
  config = configuration.of_logdir(copy)
  evaluate.evaluate(config, continuous_eval=False, visualize=True)
  tags = set(tiny_run.tags(copy / "eval_logs"))
  assert {
    "classification/val_tiny_confusion",
    "classification/tiny_accuracy",
    "kendalls_tau/tiny_val_similarity",
  } <= tags


@contextlib.contextmanager
def process(log, script, *arguments):
  """A script that runs beside the test and writes to `log`, killed at last."""
  with log.open("w") as file:
    child = subprocess.Popen(
      [sys.executable, script, *arguments], cwd=ROOT, stdout=file, stderr=file
    )
    try:
      yield child
    finally:
      child.kill()
      child.wait()


def wait_until(condition, child, log):
  deadline = time.monotonic() + 300
  while not condition():
    assert child.poll() is None, log.read_text()
    assert time.monotonic() < deadline, log.read_text()
    time.sleep(0.01)


def flags_of_training(records, logdir, *settings):
  settings = [*tiny_run.SETTINGS, f"PATH_TO_TFRECORDS={records}", *settings]
  settings += ["EVAL.TASKS=[kendalls_tau, cycle_consistency]"]
  return [f"--logdir={logdir}", *(f"--set={setting}" for setting in settings)]


def evaluated_steps(logdir):
  text = (logdir / "eval_logs" / "metrics.jsonl").read_text()
  return [json.loads(line)["step"] for line in text.splitlines()]


def test_an_evaluator_that_is_there_before_training_waits(
  tiny_records, tmp_path
):
  logdir = tmp_path / "logs"
  told, trained = tmp_path / "evaluate.txt", tmp_path / "train.txt"
  flags = flags_of_training(tiny_records, logdir)
  with process(
    told, "evaluate.py", f"--logdir={logdir}", "--start_timeout_minutes=7"
  ) as evaluation:
    waits = f"{logdir}: waiting at most 7 min for training to write config"
    wait_until(lambda: waits in told.read_text(), evaluation, told)
    assert not logdir.exists()
    with process(trained, "train.py", *flags) as training:
      assert training.wait(timeout=300) == 0, trained.read_text()
    assert evaluation.wait(timeout=300) == 0, told.read_text()
  assert told.read_text().count("training to write config.yml") == 1
  assert evaluated_steps(logdir) == [0, 2, 4]


def test_a_training_that_is_not_there(tmp_path):
  nowhere = tmp_path / "typo"
  done = run(f"--logdir={nowhere}", "--nocontinuous_eval")
  assert done.returncode == 1
  assert f"{nowhere}/config.yml: not found; expected the log" in done.stderr
  assert "waiting" not in done.stderr
  done = run(f"--logdir={nowhere}", "--start_timeout_minutes=0.001")
  assert done.returncode == 1
  assert done.stderr.splitlines()[-1] == (
    f"error: {nowhere}: training has not written config.yml here in 0.001"
    " min; correct --logdir, or see why train.py has not started"
  )
  assert not nowhere.exists()


def test_every_checkpoint_is_evaluated_once_beside_training(
  tiny_records, tmp_path
):
  """Two processes; training keeps its last ten of 31 checkpoints."""
  logdir = tmp_path / "logs"
  told, trained = tmp_path / "evaluate.txt", tmp_path / "train.txt"
  many = ("TRAIN.MAX_ITERS=30", "CHECKPOINT.SAVE_INTERVAL=1")
  flags = flags_of_training(tiny_records, logdir, *many)
  with process(trained, "train.py", *flags) as training:
    started = functools.partial(run_directory.list_checkpoints, logdir)
    wait_until(started, training, trained)
    # Or it would be far ahead before the other process has loaded TensorFlow.
    training.send_signal(signal.SIGSTOP)
    with process(told, "evaluate.py", f"--logdir={logdir}") as evaluation:
      begun = "Evaluating step 0"
      wait_until(lambda: begun in told.read_text(), evaluation, told)
      training.send_signal(signal.SIGCONT)
      assert training.wait(timeout=300) == 0, trained.read_text()
      assert evaluation.wait(timeout=300) == 0, told.read_text()
  assert "deleted" not in told.read_text()
  assert evaluated_steps(logdir) == list(range(31))
  assert len(run_directory.list_checkpoints(logdir)) == 10
  assert list((logdir / "eval_logs" / "pending").iterdir()) == []


def extract(logdir, split, path):
  config = configuration.of_logdir(logdir)
  algo = checkpoints.build_to_restore(config)
  checkpoints.restore_networks(algo, checkpoints.latest_checkpoint(logdir))
  embeddings.save(
    path,
    extraction.embed_split(
      extraction.video_embedder(algo, config), config, "tiny", split
    ),
  )


def run(*arguments):
  return subprocess.run(
    [sys.executable, "evaluate.py", *arguments],
    cwd=ROOT,
    capture_output=True,
    text=True,
    timeout=300,
  )


def test_files_of_embeddings_get_the_same_numbers(copy, tmp_path):
  files = {split: tmp_path / f"{split}.npy" for split in ("train", "val")}
  for split, path in files.items():
    extract(copy, split, path)
  evaluate.evaluate(configuration.of_logdir(copy), continuous_eval=False)
  done = run(
    f"--train_embs={files['train']}",
    f"--val_embs={files['val']}",
    "--dataset=tiny",
    f"--set={tiny_run.TASKS}",
    "--set=EVAL.FEW_SHOT_NUM_LABELED=[1]",
    "--set=EVAL.FEW_SHOT_NUM_EPISODES=2",
    f"--logdir={tmp_path / 'foreign'}",
  )
  assert done.returncode == 0, done.stderr
  (expected,) = metrics.read(copy).values()
  scalars = metrics.read(tmp_path / "foreign")[0]
  of_embeddings = {k: v for k, v in expected.items() if "algo_loss" not in k}
  assert scalars == pytest.approx(of_embeddings, abs=1e-9, nan_ok=True)
  assert "kendalls_tau/tiny_val_align_tau" in done.stdout


def save_embeddings(path, embs, labels):
  videos = {
    "embs": [embs],
    "steps": [np.arange(len(embs))],
    "labels": [labels],
    "names": ["a"],
    "seq_lens": [len(embs)],
    "seq_labels": [-1],
  }
  embeddings.save(path, videos)
  return str(path)


def test_phases_of_a_known_data_set_have_names(tmp_path, capsys):
  labels = np.repeat(np.arange(5), 4)
  embs = np.eye(5)[labels]
  paths = [
    save_embeddings(tmp_path / f"{split}.npy", embs, labels)
    for split in ("train", "val")
  ]
  config = configuration.load(
    [], ["EVAL.TASKS=[classification]", f"PATH_TO_TFRECORDS={tmp_path}"]
  )
  evaluate.evaluate_files(config, "pouring", *paths)
  assert (
    "classification/val_pouring_phase_1_accuracy (hand touches bottle to liquid"
    " starts exiting) " in capsys.readouterr().out
  )


def test_mistakes_with_files_of_embeddings(tmp_path):
  config = configuration.load()
  labels = np.full(4, -1)
  train_embs = save_embeddings(tmp_path / "train.npy", np.ones([4, 3]), labels)
  val_embs = save_embeddings(tmp_path / "val.npy", np.ones([4, 5]), labels)
  with pytest.raises(UserError, match="val.npy: its embeddings have 5 dim"):
    evaluate.evaluate_files(config, "d", train_embs, val_embs)
  with pytest.raises(UserError, match="no.npy: no such embeddings file"):
    evaluate.evaluate_files(config, "d", train_embs, f"{tmp_path}/no.npy")
  config.EVAL.TASKS = ["algo_loss"]
  with pytest.raises(UserError) as info:
    evaluate.evaluate_files(config, "d", train_embs, train_embs)
  assert str(info.value) == (
    "EVAL.TASKS=[algo_loss]: needs the network, and nothing can be said of"
    " files of embeddings; expected other tasks beside it, such as kendalls_tau"
  )
  done = run(
    *(f"--train_embs={train_embs}", f"--val_embs={train_embs}"),
    *("--dataset=d", "--max_embs=2"),
  )
  assert done.returncode == 1
  assert "error: --max_embs goes with checkpoints; of --train_" in done.stderr
  done = run(f"--train_embs={train_embs}", "--dataset=d")
  assert done.returncode == 1
  assert "--train_embs, --val_embs and --dataset go together" in done.stderr
  done = run("--set=IMAGE_SIZE=3")
  assert done.returncode == 1
  assert "--set and --dataset go with --train_embs and" in done.stderr


@pytest.mark.parametrize("file", ["config.yml", "ckpt-3.index"])
def test_files_of_embeddings_are_not_logged_to_a_run(tmp_path, file):
  embs = save_embeddings(
    tmp_path / "e.npy", np.ones([4, 3]), np.array([0, 0, 1, 1])
  )
  logdir = tmp_path / "run"
  metrics.append(logdir, 0, {"a/val": 1.0})
  (logdir / file).touch()
  with pytest.raises(UserError) as info:
    evaluate.evaluate_files(configuration.load(), "d", embs, embs, str(logdir))
  assert str(info.value) == (
    f"{logdir}: is the log directory of a training run, whose step 0 the files"
    " of embeddings would replace; choose another --logdir"
  )
  assert metrics.read(logdir) == {0: {"a/val": 1.0}}
