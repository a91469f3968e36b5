import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from sklearn.decomposition import PCA

import embeddings
from embeddings.types import EmbeddedSplit
from evaluation import metrics, plot, plots
from tests.helpers.embedded_videos import made_videos
from tests.helpers.errors import message_of

TAU = "kendalls_tau/pouring_val_align_tau"
SHOT = "few_shot_cxn/val_pouring_{}_{}"


def append(logdir, step, tau, **details):
  scalars = {TAU: tau, "classification/val_pouring_1.0_accuracy": tau / 2}
  scalars |= {SHOT.format(k, "accuracy"): tau - 0.1 / k for k in (1, 2, 10)}
  scalars |= {SHOT.format(k, "ci"): 0.02 * k for k in (1, 2)}
  scalars |= {SHOT.format(10, "ci"): math.nan}
  metrics.append(logdir, step, scalars, details)


@pytest.fixture
def runs(tmp_path):
  """Two runs of one name, the second with a single step."""
  first, second = tmp_path / "a" / "run", tmp_path / "b" / "run"
  matrix = {"phases": [0, 2], "frames": [[8, 2], [1, 9]]}
  matrix["names"] = ["", "pour <out>"]
  details = {"classification/val_pouring_confusion": matrix}
  append(first, 0, 0.1)
  append(first, 500, 0.5, **details)
  append(first, 1000, 0.9, **details)
  append(second, 1000, 0.7)
  return [str(first), f"{second}/"]


@pytest.fixture
def embs_path(tmp_path):
  videos = EmbeddedSplit.from_lists(made_videos(4, seed=0)).to_lists()
  embeddings.save(tmp_path / "e.npy", videos)
  return tmp_path / "e.npy"


def test_all_plots_are_there_in_both_formats(runs, embs_path, tmp_path):
  names = plot.plot(runs, tmp_path / "out", embs_path)
  assert names == [
    *("metrics_pouring", "few_shot_pouring", "confusion_pouring_a_run"),
    *("tau_matrix", "projection"),
  ]
  files = {f"{name}.{ending}" for name in names for ending in ("png", "svg")}
  assert {path.name for path in (tmp_path / "out").iterdir()} == files
  for name in names:
    with Image.open(tmp_path / "out" / f"{name}.png") as image:
      assert image.info["dpi"][0] == pytest.approx(200, abs=0.1)
      colors = np.asarray(image.convert("L"))
      assert colors.min() < 50 and colors.max() == 255
    root = ElementTree.parse(tmp_path / "out" / f"{name}.svg").getroot()
    assert root.tag.endswith("svg")


def test_what_is_missing_is_told_in_a_line(runs, tmp_path, caplog):
  caplog.set_level("INFO")
  assert plot.plot(runs[1:], tmp_path / "out") == ["few_shot_pouring"]
  told = [m for m in caplog.messages if "is left out" in m]
  assert [re.sub(": .*", "", line) for line in told] == [
    "metrics_pouring is left out",
    "confusion_pouring_run is left out",
    "tau_matrix, projection is left out",
  ]
  assert "each run has one evaluated step" in told[0]
  assert "EVAL.TASKS" in told[1] and "--embs_path" in told[2]


def test_lines_of_metrics(runs):
  read = {
    name: metrics.read(path) for name, path in zip("ab", runs, strict=True)
  }
  figure = plots.draw_metrics(read, {"tau": TAU, "cls. 100 %": "no such tag"})
  first, second = figure.axes
  assert [axes.get_title() for axes in (first, second)] == ["tau", "cls. 100 %"]
  steps, values = first.lines[0].get_data()
  assert list(steps) == [0, 500, 1000] and list(values) == [0.1, 0.5, 0.9]
  assert first.lines[1].get_xydata().tolist() == [[1000, 0.7]]
  assert np.isnan(second.lines[0].get_ydata()).all()
  [legend] = figure.legends
  assert [text.get_text() for text in legend.texts] == ["a", "b"]


def test_runs_differ_in_gray():
  curves = {str(k): ([1, 2], [k, k], [0.1, 0.1]) for k in range(24)}
  [axes] = plots.draw_few_shot(curves).axes
  looks = [(x.get_marker(), x.get_linestyle()) for x in axes.lines]
  assert len(set(looks[:8])) == 8
  colors = [x.get_color() for x in axes.lines]
  assert len(set(zip(looks, colors, strict=True))) == 24


def test_bands_are_the_intervals_of_the_last_step(runs):
  steps = metrics.read(runs[0])
  amounts, means, widths = plot._find_curve(steps[1000], "pouring")
  assert amounts == [1, 2, 10]
  assert means == pytest.approx([0.8, 0.85, 0.89])
  figure = plots.draw_few_shot({"run": (amounts, means, widths)})
  [axes] = figure.axes
  [band] = axes.collections
  vertices = np.concatenate([path.vertices for path in band.get_paths()])
  corners = set(map(tuple, vertices.round(6)))
  assert {(1, 0.78), (1, 0.82), (2, 0.81), (2, 0.89)} <= corners
  assert "95 % interval" in axes.get_ylabel()
  assert plot._find_curve(steps[1000], "squats") is None


def test_projection_is_that_of_principal_components():
  frames = np.random.default_rng(0).normal(size=(60, 5)) * [5, 1, 3, 1, 1] + 9
  points, shares = plot.project(frames.astype(np.float32))
  expected = PCA(2).fit(frames)
  turned = expected.transform(frames)
  signs = np.sign((points * turned).sum(axis=0))
  np.testing.assert_allclose(points * signs, turned, atol=1e-4)
  np.testing.assert_allclose(shares, expected.explained_variance_ratio_[:2])


def test_dots_have_their_phase_and_time():
  points = np.array([[0, 0], [1, 1], [2, 0], [3, 1.0]])
  times, labels = np.array([0, 0.5, 1, 0.25]), np.array([2, 0, -1, 2])
  shares = [0.6, 0.3]
  figure = plots.draw_projection(points, times, labels, shares, ["reach"])
  by_phase, by_time = figure.axes[:2]
  dots = by_phase.collections
  shown = {c.get_label(): c.get_offsets().tolist() for c in dots}
  assert shown == {
    "no phase": [[2, 0]],
    "reach": [[1, 1]],
    "phase 2": [[0, 0], [3, 1]],
  }
  [dots] = by_time.collections
  assert dots.get_array().tolist() == times.tolist()
  assert by_phase.get_xlabel() == "first component (60% of the variance)"
  alone = plots.draw_projection(points, times, labels * 0 - 1, shares)
  assert len(alone.axes) == 2  # By time, and its scale.


def test_matrix_of_tau_has_a_row_a_query():
  taus = np.array([[np.nan, 0.25], [0.75, np.nan]])
  figure = plots.draw_tau_matrix(taus, ["long " * 9, "b"])
  axes = figure.axes[0]
  np.testing.assert_array_equal(axes.images[0].get_array().filled(np.nan), taus)
  texts = {t.get_position(): t.get_text() for t in axes.texts}
  assert texts == {(1, 0): "0.25", (0, 1): "0.75"}
  assert "mean 0.500" in axes.get_title()
  # Colors of good alignments must not look as different as those of poor ones.
  assert axes.images[0].get_clim() == (0, 1)
  reversed_too = plots.draw_tau_matrix(taus - 0.75, ["a", "b"])
  assert reversed_too.axes[0].images[0].get_clim() == (-0.5, 1)
  assert len(plots.draw_tau_matrix(np.eye(100), ["v"] * 100).axes[0].texts) == 0


def test_embeddings_without_labels_or_order(tmp_path, caplog):
  caplog.set_level("INFO")
  np.savez(tmp_path / "e.npz", embs=np.eye(4, 3)[:, :2], offsets=[0, 4])
  path = tmp_path / "e.npz"
  assert plot.plot([], tmp_path / "out", path) == ["projection"]
  told = "\n".join(caplog.messages)
  assert f"projection by phase is left out: {path} has no labels" in told
  assert f"tau_matrix is left out: no pair of videos in {path} has" in told
  assert "metrics, few_shot, confusion is left out: they need LOGDIR" in told


def test_mistakes_are_told(tmp_path):
  out = tmp_path / "out"
  assert message_of(plot.plot, [], out).startswith("LOGDIR: expected the log")
  message = message_of(plot.plot, [str(tmp_path)], out)
  assert message.startswith(f"{tmp_path}: expected an evaluation of all videos")
  np.savez(tmp_path / "e.npz", embs=np.full((4, 2), np.nan), offsets=[0, 4])
  message = message_of(plot.plot, [], out, tmp_path / "e.npz")
  assert "e.npz: expected finite embeddings, received none" in message
