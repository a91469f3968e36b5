from tests.helpers import warped_videos
from tests.helpers.processes import run_python
from visualize_alignment import visualize


def test_script_writes_what_the_function_writes(tmp_path):
  embs_path = warped_videos.write(tmp_path / "e.npy")
  numbers = {"reference_video": 1, "candidate_video": 2, "switch_video": 4}
  numbers["interval"] = 40
  done = run_python(
    *("visualize_alignment.py", f"--embs_path={embs_path}"),
    f"--video_path={tmp_path / 'a.mp4'}",
    *("--use_dtw", "--nogrid_mode", "--normalize_embeddings"),
    *(f"--{name}={number}" for name, number in numbers.items()),
  )
  assert done.returncode == 0, done.stderr
  switches = {"use_dtw": True, "grid_mode": False, "normalize_embeddings": True}
  visualize(embs_path, tmp_path / "b.mp4", **switches, **numbers)
  assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_script_tells_a_mistake_in_one_line(tmp_path):
  flags = [f"--embs_path={tmp_path / 'none.npy'}"]
  for given, told in ((flags, "none.npy: "), ([], "embs_path")):
    done = run_python("visualize_alignment.py", *given)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and told in done.stderr
    assert done.stderr.count("\n") == 1
