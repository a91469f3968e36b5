import subprocess
import sys

from tests.helpers import warped_videos
from tests.helpers.paths import ROOT
from visualize_alignment import visualize


def run_script(*arguments):
  return subprocess.run(
    [sys.executable, ROOT / "visualize_alignment.py", *map(str, arguments)],
    capture_output=True,
    text=True,
    cwd=ROOT,
  )


def test_script_writes_what_the_function_writes(tmp_path):
  embs_path = warped_videos.write(tmp_path / "e.npy")
  numbers = {"reference_video": 1, "candidate_video": 2, "switch_video": 4}
  numbers["interval"] = 40
  done = run_script(
    *(f"--embs_path={embs_path}", f"--video_path={tmp_path / 'a.mp4'}"),
    *("--use_dtw", "--nogrid_mode", "--normalize_embeddings"),
    *(f"--{name}={number}" for name, number in numbers.items()),
  )
  assert done.returncode == 0, done.stderr
  switches = {"use_dtw": True, "grid_mode": False, "normalize_embeddings": True}
  visualize(embs_path, tmp_path / "b.mp4", **switches, **numbers)
  assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_script_tells_a_mistake_in_one_line(tmp_path):
  done = run_script(f"--embs_path={tmp_path / 'none.npy'}")
  assert done.returncode == 1
  assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
  done = run_script()
  assert done.returncode == 1
  assert "embs_path" in done.stderr and done.stderr.count("\n") == 1
