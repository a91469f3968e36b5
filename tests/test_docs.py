"""The commands of README and docs, run as they stand there, on tiny videos."""

import dataclasses
import json
import os
import re
import shlex

import av
import numpy as np
import pytest
import tensorflow as tf

import config
import embeddings
from algos import ALGOS
from dataset_preparation.labels import label_file
from dataset_preparation.labels.options import LabelOptions
from dataset_preparation.labels.types import Extent
from evaluation import TASKS
from tests.helpers import embedded_videos, image_files, video_files
from tests.helpers.paths import ROOT
from tests.helpers.processes import run_modules

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md")]
DOCS = "\n".join(path.read_text() for path in PAGES).replace("\\\n", " ")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", DOCS, re.S | re.M)
SMOKE = "--config=configs/smoke.yml"
SPLITS = ("train", "val")


def command(*words):
  """The only line of the blocks of commands that has all words."""
  lines = "".join(text for kind, text in BLOCKS if kind == "bash").splitlines()
  (found,) = [line for line in lines if all(word in line for word in words)]
  return found.partition("  #")[0]


def run(home, *commands):
  """Runs commands with `~` being `home`; returns all that they print."""
  lines = []
  for line in commands:
    line = line.replace(" -m ", " ").replace("~", str(home))
    _, script, *words = shlex.split(line)
    lines.append(shlex.join([script.removesuffix(".py"), *words]))
  env = os.environ | {"HOME": str(home), "CUDA_VISIBLE_DEVICES": ""}
  done = run_modules(*lines, env=env)
  ends = re.findall(r"^\S+ ended with (\w+)$", done.stderr, re.M)
  assert ends == ["None"] * len(lines), done.stderr
  return done.stdout + done.stderr


def test_own_videos_in_five_lines_and_what_may_follow(tmp_path):
  rows = ["video,start,end,phase"]
  for split, count in (("train", 4), ("val", 3)):
    (tmp_path / "videos" / split).mkdir(parents=True)
    for number in range(count):
      name, length = f"{split}{number}", 14 + 2 * number
      path = tmp_path / "videos" / split / f"{name}.mp4"
      video_files.make(path, num_frames=length)
      middle, end = length / 20, length / 10
      rows += [f"{name},0,{middle},reach", f"{name},{middle},{end},pour"]
  (tmp_path / "labels.csv").write_text("\n".join(rows))
  (evaluation,) = re.findall(r"`(python evaluate.py --logdir ~/.*?)`", DOCS)
  convert, labels = "n.videos_to_tfrecords", "--label_file=~/labels.csv"
  sheet = command("visualize_tfrecords", "--sheet")
  files = command("extract_embeddings.py", "--videos")
  printed = run(
    tmp_path,
    *(f"{command(convert, f'--name mine_{s} ')} {labels}" for s in SPLITS),
    f"{command('--logdir ~/mine_logs --set')} {SMOKE}",
    command("extract_embeddings.py", "--keep_data"),
    files.replace("clips/", "videos/val/"),
    command("visualize_alignment.py", "--video_path"),
    command("visualize_alignment.py", "--html_path"),
    evaluation,
    f"{command('--init_from')} {SMOKE}",
    sheet.replace("sheet.png", "~/sheet.png"),
    command("visualize_tfrecords", "--check"),
    command("export_records"),
    command("--name edited_train"),
  )
  loaded = embeddings.load(tmp_path / "mine.npy")
  assert loaded["names"] == ["val0", "val1", "val2"]
  assert loaded["seq_lens"] == [14, 16, 18]
  named = embeddings.load_many(tmp_path / "mine.npy").class_names
  assert named == ("reach", "pour")
  clips = embeddings.load(tmp_path / "clips.npy")
  np.testing.assert_array_equal(clips["embs"][2], loaded["embs"][2])
  with av.open(tmp_path / "aligned.mp4") as aligned:
    assert len(list(aligned.decode(video=0))) == 14
  assert (tmp_path / "viewer.html").exists()
  assert "kendalls_tau/mine_val_align_tau" in printed
  metrics = tmp_path / "mine_logs/eval_logs/metrics.jsonl"
  untrained, trained = map(json.loads, metrics.read_text().splitlines())
  assert (untrained["step"], trained["step"]) == (0, 1)
  assert 0 <= trained["classification/val_mine_1.0_accuracy"] <= 1
  assert f"Starting from the network of {tmp_path}/mine_logs" in printed
  assert (tmp_path / "fine" / "ckpt-1.index").exists()
  assert (tmp_path / "sheet.png").exists()
  assert "4 records, all sound" in printed
  counts = [
    json.loads((tmp_path / name / "dataset.json").read_text())["splits"][
      "train"
    ]
    for name in ("mine", "edited")
  ]
  assert counts[0]["phases"] == counts[1]["phases"]


def test_one_folder_is_split_by_group(tmp_path):
  rows = ["video,group"]
  (tmp_path / "videos" / "all").mkdir(parents=True)
  for number in range(6):
    take = f"take{number}"
    video_files.make(tmp_path / f"videos/all/{take}.mp4", num_frames=3)
    image_files.make(tmp_path / "frames" / take, count=3)
    rows.append(f"{take},scene{number // 2}")
  groups = tmp_path / "groups.csv"
  groups.write_text("\n".join(rows))
  assert "--group_file" in DOCS
  for script in ("videos", "images"):
    line = command(f"n.{script}_to_tfrecords", "--split train=0.8,val=0.2")
    run(tmp_path, f"{line} --output_dir=~/{script} --group_file={groups}")
    info = json.loads((tmp_path / script / "dataset.json").read_text())
    sizes = [split["num_videos"] for split in info["splits"].values()]
    assert sum(sizes) == 6 and all(size % 2 == 0 for size in sizes)


def test_a_report_and_embeddings_of_other_programs(tmp_path, monkeypatch):
  for name, tau in (("L1", 0.25), ("L2", 0.75)):
    logs = tmp_path / name / "eval_logs"
    logs.mkdir(parents=True)
    line = {"step": 1, "kendalls_tau/mine_val_align_tau": tau}
    (logs / "metrics.jsonl").write_text(json.dumps(line) + "\n")
  (code,) = [text for kind, text in BLOCKS if text.startswith("np.savez")]
  monkeypatch.chdir(tmp_path)
  for split in SPLITS:
    values = {"np": np, "offsets": np.array([0, 8, 18]), "names": ["a", "b"]}
    values["embs"] = np.random.default_rng(0).normal(size=(18, 3))
    values["labels"] = np.arange(18) // 6
    values["steps"] = np.r_[:8, :10]
    exec(code.replace("val.npz", f"{split}.npz"), values)
  loaded = embeddings.load("val.npz")
  assert loaded["names"] == ["a", "b"]
  assert loaded["labels"][1].tolist() == [1] * 4 + [2] * 6
  (evaluation,) = re.findall(r"`(python evaluate.py --train_embs.*?)`", DOCS)
  printed = run(
    tmp_path,
    command("evaluation.report").replace("L1 L2", "~/L1 ~/L2"),
    re.sub("(L1|L2|val.npz|plots)", r"~/\1", command("evaluation.plot")),
    re.sub(r"(\w+\.npz)", r"~/\1", evaluation),
  )
  assert "0.250" in printed and "**0.750**" in printed
  assert "kendalls_tau/pouring_val_align_tau" in printed
  plots = {path.name for path in (tmp_path / "plots").iterdir()}
  names = ("tau_matrix", "projection")
  assert plots == {f"{x}.{ending}" for x in names for ending in ("png", "svg")}


def test_applications_on_embeddings(tmp_path):
  (tmp_path / "clips").mkdir()
  labeled, *clips = embedded_videos.timed_videos(3, seed=0, lengths=(45, 50))
  for number, clip in enumerate(clips, start=1):
    path = tmp_path / "clips" / f"clip{number}.mp4"
    video_files.make(path, num_frames=len(clip.embs))
    facts = {"name": path.stem, "source": str(path), "labels": None}
    clips[number - 1] = dataclasses.replace(clip, **facts)
  embedded_videos.write(tmp_path / "mine.npy", [labeled])
  embedded_videos.write(tmp_path / "clips.npy", clips)
  table = "video,frame,force\nclip1,0,1\nclip1,20,2\n"
  (tmp_path / "sensor.csv").write_text(table)
  words = ("transferred", "--values", "find_f", "find_a", "synchronize")
  run(tmp_path, *(command("applications.", word) for word in words))
  found = sorted(x.relative_to(tmp_path) for x in tmp_path.glob("*/*.[cp]*"))
  assert list(map(str, found)) == [
    *(f"anomalies/{name}" for name in ("anomalies.png", "frames.csv")),
    *(f"anomalies/{name}.csv" for name in ("stretches", "videos")),
    *("forces/frames.csv", "found/frames.csv"),
    *("transferred/frames.csv", "transferred/labels.csv"),
  ]
  assert len(list(tmp_path.glob("in_step/clip*.mp4"))) == 2


def test_flags_are_those_that_scripts_define():
  """Of each command those of its script, of all others those of any."""

  def defined(paths):
    text = "".join(path.read_text() for path in paths)
    return set(re.findall(r'(?:DEFINE\w*|define_path)\([^"]*"(\w+)"', text))

  # Modules lie at most this deep; .venv lies beside them.
  ours = defined(
    path
    for pattern in ("*.py", "[!.]*/*.py", "[!.]*/*/*.py")
    for path in ROOT.glob(pattern)
  )
  # Of test.sh and Apache Beam.
  ours |= {"all", "help", "runner", "project", "region", "temp_location"}
  ours |= {"flink_master", "spark_job_server", "sdk_container_image"}
  flag = r"(?<![\w-])--(?:no(?=continuous|grid|resize|use_dtw))?(\w+)"
  assert set(re.findall(flag, DOCS)) <= ours
  calls = re.findall(r"python (?:-m )?([\w./]+) ([^`\n&]*)", DOCS)
  for name, arguments in calls:
    path = ROOT / (name.removesuffix(".py").replace(".", "/") + ".py")
    paths = [path] if path.exists() else [path.with_suffix("") / "__main__.py"]
    if "preparation" in name:
      paths += ROOT.glob("dataset_preparation/*.py")
    paths.append(ROOT / "media" / "frame_flags.py")
    if name.startswith("applications"):
      paths.append(ROOT / "applications" / "embedded_videos.py")
    if "beam" not in name:
      assert set(re.findall(flag, arguments)) <= defined(paths), name
  assert len(calls) > 20


def test_settings_are_those_of_the_configuration():
  settings = re.findall(r"--set ((?!KEY)[\w.]+=(?!\.\.\.)[^\s`]+)", DOCS)
  assert len(settings) > 10
  config.load(settings=settings)
  rows = re.findall(r"^\| `([A-Z][\w.]+)` \| `(.+?)` \|", DOCS, re.M)
  defaults = config.load(settings=[f"{key}={value}" for key, value in rows])
  assert len(rows) > 10 and defaults == config.CONFIG


def test_links_lead_somewhere():
  for page in PAGES:
    for target in re.findall(r"\]\(((?!http)[^)]+)\)", page.read_text()):
      name, _, anchor = target.partition("#")
      path = page.parent / name if name else page
      assert path.exists(), target
      if anchor:
        titles = re.findall(r"^#+ (.+)$", path.read_text(), re.M)
        words = [re.sub(r"[^\w -]", "", title.lower()) for title in titles]
        assert anchor in [title.replace(" ", "-") for title in words], target


def test_files_that_are_named_exist():
  names = re.findall(
    r"(?<!\d\. )`(?!L/|LOGDIR|config\.yml)([\w/]+(?:\.py|\.sh|\.yml|/))`", DOCS
  )
  assert len(names) > 40
  assert not [name for name in names if not (ROOT / name).exists()]
  doors = [path.name for path in ROOT.glob("*.py")]
  assert not [name for name in doors if f"`{name}`" not in DOCS]


@pytest.mark.parametrize("title", ["One setting", "One video"])
def test_walks_through_the_house_pass_each_module_once(title):
  section = DOCS.split(f"## {title}")[1].split("\n## ")[0]
  modules = re.findall(r"^\d+\. `(\S+)`", section, re.M)
  assert len(modules) == len(set(modules)) > 5
  assert not [name for name in modules if not (ROOT / name).exists()]


def test_tables_have_the_rows_of_the_registries():
  for registry, folder in ((ALGOS, "algos"), (TASKS, "evaluation")):
    rows = re.findall(rf"^\| `(\w+)` \|.*`{folder}/\w+\.py` \|$", DOCS, re.M)
    assert sorted(rows) == sorted(registry)


def test_examples_of_label_files_say_the_same(tmp_path):
  examples = [text for kind, text in BLOCKS if kind in ("csv", "json")]
  assert len(examples) == 4
  for text in examples:
    path = tmp_path / "labels"
    path.write_text(text)
    file = label_file.read_label_file(LabelOptions(path))
    labels = file.videos["clip1"]
    found = labels.label_frames([0.0, 0.8, 1.6], range(3), Extent(3, 2.4))
    assert found == [0, 0, 1]
    assert file.class_names in ((), ("reach", "pour"))


def test_the_loss_alone():
  embs = np.random.default_rng(0).normal(size=(3, 5, 2))
  examples = [text for _, text in BLOCKS if text.startswith("from tcc")]
  assert examples
  for code in examples:
    values = {"N": 3, "embs": embs, "sequences": embs, "encoder": tf.constant}
    exec(code, values)
    assert np.isfinite(values["loss"])
