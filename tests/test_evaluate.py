import collections
import functools
import json
import math
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import config as configuration
import datasets
import evaluate
import extract_embeddings
import train
from algos.algorithm import Algorithm
from core.errors import UserError
from data import dataset_info
from embeddings import extraction
from evaluation import TASKS, metrics
from evaluation.checkpoint_polling import evaluator_lock
from tests.helpers import record_files, tiny_run
from tests.helpers.errors import message_of
from tests.helpers.paths import ROOT
from tests.helpers.processes import run_python
from training import checkpoints


@pytest.fixture
def copy(trained, tmp_path):
  """A run with checkpoints at steps 0, 2 and 4, to be changed."""
  return shutil.copytree(trained.logdir, tmp_path / "copy")


@pytest.fixture(scope="module")
def evaluated(trained, tmp_path_factory):
  """Such a run, the last checkpoint evaluated and then all, by every task."""
  logdir = tmp_path_factory.mktemp("evaluated") / "run"
  shutil.copytree(trained.logdir, logdir)
  config = configuration.load_run(logdir)
  assert set(config.EVAL.TASKS) == set(TASKS)

  def event_files():
    return list((logdir / "eval_logs").glob("events.*"))

  evaluate.evaluate(config, continuous_eval=False)
  assert evaluated_steps(logdir) == [4] and len(event_files()) == 1
  calls, compiled = collections.defaultdict(list), []
  compile_function = tf.function

  def compile_and_keep(function=None, **options):
    if function is None:
      return functools.partial(compile_and_keep, **options)
    compiled.append(compile_function(function, **options))
    return compiled[-1]

  def counted(function):
    def call(*arguments):
      calls[function.__name__].append(arguments)
      return function(*arguments)

    return call

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(extraction, "embed_split", counted(extraction.embed_split))
    patch.setattr(Algorithm, "features", counted(Algorithm.features))
    patch.setattr(tf, "function", compile_and_keep)
    evaluate.evaluate(config)
  return types.SimpleNamespace(
    logdir=logdir,
    calls=calls,
    compiled=compiled,
    num_event_files=len(event_files()) - 1,
  )


def list_tags(dataset):
  """What evaluations of a data set have among others."""
  tags = "classification/val_{0}_1.0_accuracy few_shot_cxn/val_{0}_1_accuracy"
  tags += " kendalls_tau/{0}_val_align_tau retrieval/val_{0}_ap@5"
  tags += " cycle_consistency/val_{0}_2way metrics/{0}_kendalls_tau"
  return {"metrics/all_kendalls_tau", *tags.format(dataset).split()}


def evaluated_steps(logdir):
  return [line["step"] for line in read_lines(logdir)]


def read_lines(logdir):
  with (logdir / "eval_logs" / "metrics.jsonl").open() as lines:
    return list(map(json.loads, lines))


def test_evaluation_of_all_checkpoints(evaluated, capsys):
  results = metrics.read(evaluated.logdir)
  assert list(results) == [0, 2, 4]
  logged = tiny_run.curves(evaluated.logdir / "eval_logs")
  for step, scalars in results.items():
    tags = {"algo_loss/val_loss", "event_completion/val_tiny_1.0_score"}
    assert tags | list_tags("tiny") <= set(scalars)
    for tag, value in scalars.items():
      if math.isfinite(value):
        assert logged[tag][step] == pytest.approx(value, rel=1e-6)
  # Each once, and nothing more when it is started again.
  evaluate.evaluate(configuration.load_run(evaluated.logdir))
  assert evaluated_steps(evaluated.logdir) == [4, 0, 2]
  table = capsys.readouterr().out
  assert "kendalls_tau/tiny_val_align_tau" in table
  assert "step 0" in table and "step 4" in table


def test_checkpoints_share_a_network_and_tasks_share_embeddings(evaluated):
  # Traced once to embed videos, once for the loss.
  assert len(evaluated.calls["features"]) == 2
  splits = [arguments[2:4] for arguments in evaluated.calls["embed_split"]]
  assert splits == 2 * [("tiny", "train"), ("tiny", "val")]
  # TensorBoard reads slowly from many small files.
  assert evaluated.num_event_files == 1


def test_nothing_is_traced_twice(evaluated):
  """Over two checkpoints, both splits, and videos of different lengths."""
  details = read_lines(evaluated.logdir)[0]["details"]
  used = details["classification/tiny_1.0_used"]["train"]
  assert used["frames"] % used["videos"]
  names = "_make_example prepare encode_frames compute_loss"
  assert collections.Counter(
    function.python_function.__name__
    for function in evaluated.compiled
    for _ in range(function.experimental_get_tracing_count())
  ) == dict.fromkeys(names.split(), 1) | {"call": 2}  # Backbone and embedder.


def test_details_are_beside_the_scalars(evaluated):
  details = read_lines(evaluated.logdir)[0]["details"]
  assert details["classification/tiny_1.0_used"]["train"]["videos"] == 4
  taus = details["kendalls_tau/tiny_val"]["video_taus"]
  assert set(taus) <= {"val0", "val1", "val2"}


def test_a_line_cut_short_by_an_interruption_is_made_up_for(
  evaluated, tmp_path
):
  logdir = shutil.copytree(evaluated.logdir, tmp_path / "run")
  file = logdir / "eval_logs" / "metrics.jsonl"
  expected = metrics.read(logdir)
  file.write_bytes(file.read_bytes()[:-40])
  assert list(metrics.read(logdir)) == [0, 4]
  evaluate.evaluate(configuration.load_run(logdir))
  assert list(metrics.read(logdir)) == [0, 2, 4]
  np.testing.assert_equal(metrics.read(logdir), expected)


def test_a_run_on_two_data_sets(tmp_path):
  names = ("tiny", "other")
  for seed, name in enumerate(names):
    folder = tmp_path / f"{name}_records"
    folder.mkdir()
    tiny_run.write_records(folder, name, seed)
  folders = (tmp_path / "%s_records", tmp_path / "logs")
  settings = ("DATASETS=[tiny, other]", "TRAIN.MAX_ITERS=0")
  config = tiny_run.config(*folders, *settings)
  train.train(config)
  evaluate.evaluate(config)
  [scalars] = metrics.read(config.LOGDIR).values()
  for name in names:
    assert list_tags(name) <= set(scalars)
  for task in config.EVAL.TASKS:
    values = [scalars[f"metrics/{name}_{task}"] for name in names]
    assert scalars[f"metrics/all_{task}"] == pytest.approx(np.mean(values))
  losses = [scalars[f"metrics/{name}_algo_loss"] for name in names]
  assert losses[0] != losses[1]
  assert scalars["algo_loss/val_loss"] == pytest.approx(np.mean(losses))


def test_an_evaluation_of_some_videos_is_not_for_good(copy, capsys):
  config = configuration.load_run(copy)
  config.EVAL.TASKS = ["kendalls_tau"]
  evaluate.evaluate(config, max_embs=2)
  assert evaluated_steps(copy) == [0, 2, 4]
  assert metrics.read(copy) == {}
  for details in (line["details"] for line in read_lines(copy)):
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


def test_a_second_evaluator_is_refused(copy, tmp_path):
  config = configuration.load_run(copy)
  with evaluator_lock(copy), evaluator_lock(tmp_path / "another run"):
    message = message_of(evaluate.evaluate, config)
  assert message == (
    f"{copy}: expected no other evaluator on this log directory, received a"
    " second; let the first finish, or stop it"
  )
  assert metrics.read(copy) == {}


def test_nothing_is_embedded_for_the_loss_alone(copy, monkeypatch):
  monkeypatch.setattr(extraction, "embed_split", None)
  config = configuration.load_run(copy)
  config.EVAL.TASKS = ["algo_loss"]
  evaluate.evaluate(config, continuous_eval=False)
  assert math.isfinite(metrics.read(copy)[4]["algo_loss/val_loss"])


@pytest.fixture
def other_records(copy, tmp_path):
  """The run's configuration with a copy of its records, and their folder."""
  config = configuration.load_run(copy)
  records = shutil.copytree(config.PATH_TO_TFRECORDS, tmp_path / "records")
  config.PATH_TO_TFRECORDS = str(records)
  return config, records


def test_a_damaged_record_in_the_batches_of_the_loss_is_named(other_records):
  config, records = other_records
  config.EVAL.TASKS = ["algo_loss"]
  [path] = records.glob("tiny_val-*")
  record_files.flip_bit(path, -2000)
  message = message_of(evaluate.evaluate, config, continuous_eval=False)
  assert message.startswith(f"{path}: ") and "received other bytes" in message


def test_a_wrong_dataset_json_stops_before_anything_is_embedded(
  other_records, monkeypatch
):
  monkeypatch.setattr(evaluate, "_build_evaluator", None)
  config, records = other_records
  (records / "dataset.json").write_text("{")
  with pytest.raises(UserError, match="dataset.json: expected JSON with"):
    evaluate.evaluate(config)


def test_directory_without_checkpoint_is_named(tiny_records, tmp_path):
  config = tiny_run.config(tiny_records, tmp_path)
  with pytest.raises(UserError, match="expected checkpoints ckpt-"):
    evaluate.evaluate(config)


def test_what_cannot_be_read_is_told_and_the_others_evaluated(
  copy, monkeypatch, caplog
):
  """One checkpoint is damaged, and training deletes one while it is read."""
  data = copy / "ckpt-0.data-00000-of-00001"
  data.write_bytes(data.read_bytes()[:100])
  restore = checkpoints.restore_networks

  def delete_first(algo, path):
    if path.endswith("ckpt-2"):
      for file in copy.glob("ckpt-2.*"):
        file.unlink()
    restore(algo, path)

  monkeypatch.setattr(checkpoints, "restore_networks", delete_first)
  config = configuration.load_run(copy)
  config.EVAL.TASKS = ["kendalls_tau"]
  message = message_of(evaluate.evaluate, config)
  damage = f"{copy}/ckpt-0: expected a sound checkpoint of the network"
  assert message.startswith(f"{copy}: could not evaluate step 0: {damage}")
  assert evaluated_steps(copy) == [4]
  damaged, deleted = caplog.messages
  assert damaged.startswith(f"Step 0 is not evaluated: {damage}")
  assert "training deleted the checkpoint of step 2 before" in deleted


def test_phases_have_names_and_images_are_logged_on_demand(
  copy, other_records, capsys
):
  config, records = other_records
  info = dataset_info.SplitInfo(3, 40, phase_counts={"2": 1})
  names = ("reach", "pour", "rest")
  dataset_info.add_split(records, "tiny", "val", info, names)
  config.EVAL.TASKS = ["classification", "kendalls_tau"]
  evaluate.evaluate(config, continuous_eval=False, visualize=True)
  table = capsys.readouterr().out
  assert "classification/val_tiny_phase_2_accuracy (rest) " in table
  assert {
    "classification/val_tiny_confusion",
    "classification/tiny_accuracy",
    "kendalls_tau/tiny_val_similarity",
    "neighbors/tiny_val_0",
  } <= set(tiny_run.events(copy / "eval_logs"))
  folder = copy / "eval_logs" / "projector"
  rows = (folder / "tiny_val_metadata.tsv").read_text().splitlines()
  videos = datasets.iterate_videos(config, "tiny", "val")
  frames = sum(video["seq_len"] for video in videos)
  assert len(rows) == 1 + frames and rows[-1].endswith("\t2 rest")
  with Image.open(folder / "tiny_val_sprite.jpg") as sprite:
    columns = math.ceil(math.sqrt(frames))
    assert sprite.size == (64 * columns, 64 * -(-frames // columns))


def test_an_evaluator_beside_training(tiny_records, tmp_path):
  """It starts first, waits, and evaluates every checkpoint once, in order."""
  logdir = tmp_path / "logs"
  settings = ("EVAL.TASKS=[kendalls_tau]", "TRAIN.MAX_ITERS=12")
  settings += ("CHECKPOINT.SAVE_INTERVAL=1", "CHECKPOINT.MAX_TO_KEEP=13")
  command = [sys.executable, "evaluate.py", f"--logdir={logdir}"]
  pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
  with subprocess.Popen(
    [*command, "--start_timeout_minutes=9"], cwd=ROOT, text=True, **pipes
  ) as evaluation:
    waits = f"{logdir}: waiting at most 9 min for training to write config.yml"
    assert any(waits in line for line in evaluation.stdout)
    assert not logdir.exists()
    train.train(tiny_run.config(tiny_records, logdir, *settings))
    told = evaluation.stdout.read()
  assert evaluation.returncode == 0, told
  assert "deleted" not in told
  assert evaluated_steps(logdir) == list(range(13))


def test_a_training_that_is_not_there(tmp_path):
  nowhere = tmp_path / "typo"
  with pytest.raises(UserError, match="typo/config.yml: "):
    main_with(logdir=str(nowhere), continuous_eval=False)
  flags = (f"--logdir={nowhere}", "--start_timeout_minutes=0.001")
  done = run_python("evaluate.py", *flags)
  assert done.returncode == 1
  assert done.stderr.splitlines()[-1] == (
    f"error: {nowhere}: expected training to write config.yml, received nothing"
    " in 0.001 min; correct --logdir, or see why train.py has not started"
  )
  assert not nowhere.exists()


def test_files_of_embeddings_get_the_same_numbers(evaluated, tmp_path):
  files = {split: tmp_path / f"{split}.npy" for split in ("train", "val")}
  config = configuration.load_run(evaluated.logdir)
  for split, path in files.items():
    extract_embeddings.extract(config, "tiny", split, path)
  done = run_python(
    *("evaluate.py", "--dataset=tiny", f"--logdir={tmp_path / 'foreign'}"),
    *(f"--{split}_embs={path}" for split, path in files.items()),
    *(f"--set={x}" for x in tiny_run.SETTINGS if "EVAL." in x),
  )
  assert done.returncode == 0, done.stderr
  expected = metrics.read(evaluated.logdir)[4]
  scalars = metrics.read(tmp_path / "foreign")[0]
  of_embeddings = {k: v for k, v in expected.items() if "algo_loss" not in k}
  assert scalars == pytest.approx(of_embeddings, abs=1e-9, nan_ok=True)
  assert "kendalls_tau/tiny_val_align_tau" in done.stdout


def save_embeddings(path, embs, labels):
  np.savez(path, embs=embs, labels=labels, offsets=[0, len(embs)])
  return str(path)


def test_phases_of_a_known_data_set_have_names(tmp_path, capsys):
  labels = np.repeat(np.arange(5), 4)
  path = save_embeddings(tmp_path / "e.npz", np.eye(5)[labels], labels)
  settings = ["EVAL.TASKS=[classification]", f"PATH_TO_TFRECORDS={tmp_path}"]
  config = configuration.load([], settings)
  evaluate.evaluate_files(config, "pouring", path, path)
  name = "hand touches bottle to liquid starts exiting"
  told = f"classification/val_pouring_phase_1_accuracy ({name}) "
  assert told in capsys.readouterr().out


def main_with(**given):
  flags = dict.fromkeys(("train_embs", "val_embs", "dataset", "set"))
  flags |= {"max_embs": 0, "visualize": False, "timeout_minutes": 1}
  flags |= {"logdir": "L", "continuous_eval": True} | given
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(evaluate, "FLAGS", types.SimpleNamespace(**flags))
    evaluate.main()


FILES = {"train_embs": "a", "val_embs": "b", "dataset": "d"}


@pytest.mark.parametrize(
  ("given", "message"),
  [
    ({**FILES, "max_embs": 2}, "--max_embs: expected only with checkpoints"),
    ({**FILES, "val_embs": None}, "--val_embs: expected with files of"),
    ({**FILES, "dataset": None}, "--dataset: expected with files of"),
    ({"set": ["IMAGE_SIZE=3"]}, "--set, --dataset: expected only with"),
    ({"dataset": "d"}, "--set, --dataset: expected only with"),
  ],
)
def test_flags_that_do_not_go_together(given, message):
  with pytest.raises(UserError, match=f"^{message}"):
    main_with(**given)


def test_mistakes_with_files_of_embeddings(tmp_path):
  config = configuration.load()
  labels = np.full(4, -1)
  train_embs = save_embeddings(tmp_path / "train.npz", np.ones([4, 3]), labels)
  val_embs = save_embeddings(tmp_path / "val.npz", np.ones([4, 5]), labels)
  with pytest.raises(UserError, match="val.npz: "):
    evaluate.evaluate_files(config, "d", train_embs, val_embs)
  with pytest.raises(UserError, match="no.npy: "):
    evaluate.evaluate_files(config, "d", train_embs, f"{tmp_path}/no.npy")
  config.EVAL.TASKS = ["algo_loss"]
  arguments = (config, "d", train_embs, train_embs)
  assert message_of(evaluate.evaluate_files, *arguments) == (
    "EVAL.TASKS: expected a task on embeddings, received only algo_loss, which"
    " needs the network; add one such as kendalls_tau"
  )
  config.EVAL.TASKS = ["kendal_tau"]
  with pytest.raises(UserError, match="^EVAL.TASKS: .*kendalls_tau"):
    evaluate.evaluate_files(*arguments)


@pytest.mark.parametrize("file", ["config.yml", "ckpt-3.index"])
def test_files_of_embeddings_are_not_logged_to_a_run(tmp_path, file):
  embs = save_embeddings(tmp_path / "e.npz", np.ones([4, 3]), [0, 0, 1, 1])
  logdir = tmp_path / "run"
  metrics.append(logdir, 0, {"a/val": 1.0})
  (logdir / file).touch()
  arguments = (configuration.load(), "d", embs, embs, str(logdir))
  assert message_of(evaluate.evaluate_files, *arguments) == (
    f"{logdir}: expected no training run, received one, whose step 0 the files"
    " of embeddings would replace; choose another --logdir"
  )
  assert metrics.read(logdir) == {0: {"a/val": 1.0}}
