"""The README's commands, run as they stand there, on tiny videos."""

import json
import os
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest

import embeddings
import train
from data import dataset_info
from evaluation import metrics
from media import video_reader, video_writer
from tests.helpers import image_files, tiny_run
from tests.helpers.paths import ROOT

README = (ROOT / "README.md").read_text()


def own_videos_commands():
  section = README.split("## Your own videos")[1]
  block = re.search(r"```bash\n(.*?)```", section, re.S)[1]
  lines = [line for line in block.splitlines() if line.startswith("python ")]
  assert len(lines) == 5
  return lines


def write_square_videos(folder):
  """Films a square that crosses the picture; returns its annotations."""
  annotations = {}
  for split, count in (("train", 4), ("val", 3)):
    for number in range(count):
      length = 14 + 2 * number
      frames = np.full([length, 48, 64, 3], 40 + 30 * number, np.uint8)
      for t in range(length):
        x = t * 40 // (length - 1)
        frames[t, 16:32, x : x + 16] = 220
      name = f"{split}{number}"
      path = folder / split / f"{name}.mp4"
      path.parent.mkdir(parents=True, exist_ok=True)
      video_writer.write_video(path, frames, fps=10)
      middle, end = length * 50_000, length * 100_000
      annotations[name] = {"me": {"0": [0, middle], "1": [middle, end]}}
  return annotations


def run(command, home, *more):
  environment = os.environ | {"HOME": str(home), "CUDA_VISIBLE_DEVICES": ""}
  words = [
    word.replace("~", str(home), 1) if "~/" in word else word
    for word in shlex.split(command)
  ]
  words[0] = sys.executable
  done = subprocess.run(
    [*words, *more], cwd=ROOT, env=environment, capture_output=True, text=True
  )
  assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
  return done


def test_own_videos_in_five_lines_and_evaluation(tmp_path):
  annotations = write_square_videos(tmp_path / "videos")
  labels = tmp_path / "labels.json"
  labels.write_text(json.dumps(annotations))
  convert_train, convert_val, train, extract, visualize = own_videos_commands()
  run(f"{convert_train} --label_file {labels}", tmp_path)
  run(f"{convert_val} --label_file {labels}", tmp_path)
  run(f"{train} --config configs/smoke.yml", tmp_path)
  run(extract, tmp_path)
  run(visualize, tmp_path)
  evaluation = re.search(r"`(python evaluate.py --logdir ~/.*?)`", README)[1]
  table = run(evaluation, tmp_path).stdout
  assert "kendalls_tau/mine_val_align_tau" in table
  scalars = metrics.read(tmp_path / "mine_logs")
  assert list(scalars) == [0, 1]
  assert 0 <= scalars[1]["classification/val_mine_1.0_accuracy"] <= 1
  videos_embedded = embeddings.load(tmp_path / "mine.npy")
  assert videos_embedded["names"] == ["val0", "val1", "val2"]
  assert videos_embedded["seq_lens"] == [14, 16, 18]
  aligned = list(video_reader.read_frames(tmp_path / "aligned.mp4"))
  assert len(aligned) == 14


def command(*words):
  """The only line of the README's blocks of commands that has all words."""
  blocks = re.findall(r"```bash\n(.*?)```", README, re.S)
  lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
  (found,) = [line for line in lines if all(word in line for word in words)]
  return found.partition("  #")[0]


@pytest.fixture(scope="module")
def home(one_replica, tmp_path_factory):
  """A home folder with records and the run that the commands start from."""
  folder = tmp_path_factory.mktemp("home")
  (folder / "mine").mkdir()
  tiny_run.write_records(folder / "mine", "mine")
  config = tiny_run.config(
    folder / "mine", folder / "mine_logs", "DATASETS=[mine]"
  )
  config.TRAIN.MAX_ITERS = 1
  train.train(config)
  return folder


def test_folders_of_images_are_split_by_group(tmp_path):
  frames = tmp_path / "frames"
  rows = ["video,group"]
  for number in range(6):
    image_files.make(frames / f"take{number}", count=3)
    rows.append(f"take{number},scene{number // 2}")
  groups = tmp_path / "groups.csv"
  groups.write_text("\n".join(rows))
  convert = command("images_to_tfrecords")
  assert "--split train=0.8,val=0.2" in convert and "--group_file" in README
  output = f"--output_dir={tmp_path}/records"
  run(convert, tmp_path, output, f"--group_file={groups}")
  info = dataset_info.read(f"{tmp_path}/records", "mine")
  sizes = [split.num_videos for split in info.splits.values()]
  assert sum(sizes) == 6 and all(size % 2 == 0 for size in sizes)


def test_records_are_looked_at(home):
  draw = command("visualize_tfrecords", "--sheet")
  run(draw.replace("sheet.png", "~/sheet.png"), home)
  assert (home / "sheet.png").exists()
  check = command("visualize_tfrecords", "--check")
  assert "4 records, all sound" in run(check, home).stdout


def test_a_run_starts_from_another(home):
  settings = [*tiny_run.SETTINGS, "TRAIN.MAX_ITERS=1"]
  settings = [f"--set={x}" for x in settings if not x.startswith("DATASETS")]
  done = run(command("--init_from"), home, *settings)
  assert f"Starting from the network of {home}/mine_logs" in done.stderr
  assert (home / "fine" / "ckpt-1.index").exists()


def test_a_report_of_two_runs(tmp_path):
  for name, tau in (("L1", 0.25), ("L2", 0.75)):
    scalars = {"kendalls_tau/mine_val_align_tau": tau}
    metrics.append(tmp_path / name, 1, scalars, {})
  compare = command("evaluation.report").replace("L1 L2", "~/L1 ~/L2")
  table = run(compare, tmp_path).stdout
  assert "0.250" in table and "**0.750**" in table


def test_embeddings_of_other_programs_are_evaluated(tmp_path):
  random = np.random.default_rng(0)
  for split, count in (("train", 4), ("val", 2)):
    lengths = [8] * count
    made = {
      "embs": [random.normal(size=(n, 3)) for n in lengths],
      "steps": [np.arange(n) for n in lengths],
      "labels": [np.arange(n) * 2 // n for n in lengths],
      "names": [f"{split}{number}" for number in range(count)],
      "seq_lens": lengths,
      "seq_labels": [-1] * count,
    }
    embeddings.save(tmp_path / f"{split}.npz", made)
  evaluation = re.search(r"`(python evaluate.py --train_embs[^`]*)`", README)[1]
  table = run(re.sub(r"(\w+\.npz)", r"~/\1", evaluation), tmp_path).stdout
  assert "kendalls_tau/pouring_val_align_tau" in table


def test_embeddings_of_other_programs(tmp_path, monkeypatch):
  (code,) = re.findall(r"```python\n(np.savez.*?)```", README, re.S)
  values = {
    "np": np,
    "embs": np.random.default_rng(0).normal(size=(9, 3)),
    "offsets": np.array([0, 4, 9]),
    "names": ["a", "b"],
    "labels": np.arange(9) // 3,
    "steps": np.concatenate([np.arange(4), np.arange(5)]),
  }
  monkeypatch.chdir(tmp_path)
  exec(code, values)
  loaded = embeddings.load("val.npz")
  assert loaded["names"] == ["a", "b"]
  assert [len(video) for video in loaded["embs"]] == [4, 5]
  assert loaded["labels"][1].tolist() == [1, 1, 2, 2, 2]


@pytest.mark.parametrize(
  "script",
  [
    "train.py",
    "evaluate.py",
    "extract_embeddings.py",
    "visualize_alignment.py",
    "dataset_preparation/videos_to_tfrecords.py",
    "dataset_preparation/images_to_tfrecords.py",
    "dataset_preparation/penn_action.py",
    "dataset_preparation/visualize_tfrecords.py",
    "dataset_preparation/synthetic_pouring/__main__.py",
  ],
)
def test_flags_named_in_the_readme_exist(script):
  """By its path, from another folder: `--help` has every flag used with it."""
  done = subprocess.run(
    [sys.executable, ROOT / script, "--help"],
    cwd="/",
    capture_output=True,
    text=True,
  )
  module = script.removesuffix(".py").replace("/", ".")
  names = f"({re.escape(script)}|-m {re.escape(module)})"
  for line in README.replace("\\\n", " ").splitlines():
    for call in re.split(r"(?=python )", line):
      if re.match(f"python {names}", call):
        for flag in re.findall(r"--(?:no(?=[a-z_]+\b))?([a-z_]+)", call):
          assert re.search(rf"--(\[no\])?{flag}\b", done.stdout), flag


def test_files_named_in_the_readme_exist():
  names = re.findall(r"`(?!L/)([\w/]+(?:\.py|\.sh|\.yml|/))`", README)
  assert len(names) > 20
  for name in [*names, *re.findall(r"\]\(((?!http|#)[^)]+)\)", README)]:
    assert (ROOT / name).exists(), name


def test_sections_that_the_readme_links_to_exist():
  titles = re.findall(r"^## (.+)$", README, re.M)
  anchors = [title.lower().replace(" ", "-") for title in titles]
  for name in re.findall(r"\]\(#([^)]+)\)", README):
    assert name in anchors


def test_map_names_every_module():
  for path in ROOT.glob("*.py"):
    assert path.name in README, path.name


def test_readme_and_code_know_the_same_algorithms_and_tasks():
  from algos import ALGOS
  from evaluation import TASKS

  for registry, folder in ((ALGOS, "algos"), (TASKS, "evaluation")):
    rows = re.findall(rf"^\| `(\w+)` \|.*`{folder}/\w+\.py` \|$", README, re.M)
    assert sorted(rows) == sorted(registry)


def test_examples_of_label_files_say_the_same(tmp_path):
  from dataset_preparation.labels.label_file import read_label_file
  from dataset_preparation.labels.types import Extent

  section = README.split("## Preparing data")[1].split("\n## ")[0]
  examples = re.findall(r"```(?:csv|json)\n(.*?)```", section, re.S)
  assert len(examples) == 4
  times = [0.0, 0.8, 1.6]
  for text in examples:
    path = tmp_path / "labels"
    path.write_text(text)
    file = read_label_file(path)
    found = file.videos["clip1"].label_frames(times, range(3), Extent(3, 2.4))
    assert found == [0, 0, 1]
    assert file.class_names in ((), ("reach", "pour"))
