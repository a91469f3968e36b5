import math

import pytest

from core.errors import UserError
from evaluation import metrics
from tests.helpers.errors import message_of


def test_scalars_come_back_by_step_and_nan_stays_nan(tmp_path):
  metrics.append(tmp_path, 10, {"a/val": 0.5, "b/val": math.nan})
  metrics.append(tmp_path, 0, {"a/val": 0.25})
  assert "NaN" not in (tmp_path / "eval_logs/metrics.jsonl").read_text()
  scalars = metrics.read(tmp_path)
  assert list(scalars) == [0, 10]
  assert scalars[0] == {"a/val": 0.25}
  assert scalars[10]["a/val"] == 0.5
  assert math.isnan(scalars[10]["b/val"])


def test_last_line_of_a_step_counts(tmp_path):
  metrics.append(tmp_path, 3, {"a/val": 1.0})
  metrics.append(tmp_path, 3, {"a/val": 2.0})
  assert metrics.read(tmp_path) == {3: {"a/val": 2.0}}


def test_table_shows_first_and_last_step_of_what_matters(tmp_path):
  for step, value in ((0, 0.1), (5, 0.5), (9, 0.9)):
    tags = [f"kendalls_tau/d_{split}_align_tau" for split in ("val", "train")]
    tags += ["classification/train_d_1.0_accuracy", "few_shot_cxn/val_d_1_ci"]
    tags += ["metrics/d_kendalls_tau"]
    metrics.append(tmp_path, step, dict.fromkeys(tags, value))
  lines = metrics.table(tmp_path).splitlines()
  assert lines[0].split() == ["metric", "step", "0", "step", "9"]
  [row] = lines[2:]
  assert row.split() == ["kendalls_tau/d_val_align_tau", "0.1000", "0.9000"]


def test_a_table_without_metrics_of_validation_is_one_line(tmp_path):
  metrics.append(tmp_path, 0, {"kendalls_tau/d_train_align_tau": 0.5})
  assert metrics.table(tmp_path) == "no metric of validation videos at step 0"
  metrics.append(tmp_path, 5, {})
  assert metrics.table(tmp_path).endswith("validation videos at step 0 and 5")


@pytest.mark.parametrize("key", ["titles", "a/val_titles"])
def test_names_of_phases_stand_beside_their_tags(tmp_path, key):
  """Under one key, or under a key a task as in older files."""
  titles = {"a/val_phase_1": "pour"}
  scalars = {"a/val_phase_0": 0.25, "a/val_phase_1": 0.5}
  metrics.append(tmp_path, 0, scalars, {key: titles})
  assert metrics.table(tmp_path).splitlines()[2:] == [
    "a/val_phase_0               0.2500",
    "a/val_phase_1 (pour)        0.5000",
  ]


def test_a_run_that_was_not_evaluated(tmp_path):
  assert metrics.read(tmp_path) == {}
  assert message_of(metrics.table, tmp_path) == (
    f"{tmp_path}: expected an evaluated run, received one without metrics; run"
    f" `python evaluate.py --logdir {tmp_path}`"
  )


@pytest.mark.parametrize(
  "line",
  [
    *(b"hello", b"[1]", b"\xff\xfe\x00", b'{"a/val": 1}'),
    *(b'{"step": %s, "a/val": 1}' % x for x in (b'"a"', b"null", b"1.5")),
    *(b'{"step": 1, "a/val": %s}' % x for x in (b'"abc"', b"[1]", b"true")),
    b'{"step": 1, "a/val": 1, "details": null}',
    b'{"step": 1, "a/val": 1, "details": {"a_titles": 3}}',
    b'{"step": 1, "a/val": 1, "details": {"max_embs": "2"}}',
  ],
)
@pytest.mark.parametrize("reader", [metrics.read, metrics.table])
def test_lines_that_are_not_ours_are_told(tmp_path, line, reader):
  file = tmp_path / "eval_logs/metrics.jsonl"
  metrics.append(tmp_path, 0, {"a/val": 1.0})
  file.write_bytes(file.read_bytes() + line + b"\n")
  assert message_of(reader, tmp_path) == (
    f"{file}: line 2: expected a JSON object with a step, a number for each tag"
    " and `details`, received something else; remove the line"
  )


def test_a_folder_where_the_file_should_be(tmp_path):
  folder = tmp_path / "eval_logs/metrics.jsonl"
  folder.mkdir(parents=True)
  told = f"{folder}: expected a file of metrics or none, received an error"
  with pytest.raises(UserError, match=told):
    metrics.read(tmp_path)
  with pytest.raises(UserError, match="Is a directory"):
    metrics.append(tmp_path, 0, {})


def test_a_whole_last_line_counts_without_its_end(tmp_path):
  file = tmp_path / "eval_logs/metrics.jsonl"
  for step in (0, 1):
    metrics.append(tmp_path, step, {"a/val": 0.5})
  whole = file.read_bytes()
  file.write_bytes(whole[:-1])
  assert list(metrics.read(tmp_path)) == [0, 1]
  metrics.append(tmp_path, 2, {"a/val": 0.5})
  assert list(metrics.read(tmp_path)) == [0, 1, 2]
  assert file.read_bytes().startswith(whole)
  file.write_bytes(whole[:-2])
  assert list(metrics.read(tmp_path)) == [0]
  metrics.append(tmp_path, 2, {"a/val": 0.5})
  assert list(metrics.read(tmp_path)) == [0, 2]


def test_evaluations_of_some_videos_count_where_asked_for(tmp_path):
  metrics.append(tmp_path, 0, {"a/val": 0.25})
  metrics.append(tmp_path, 0, {"a/val": 0.5}, {"max_embs": 2})
  metrics.append(tmp_path, 4, {"a/val": 0.75}, {"max_embs": 3})
  assert metrics.read(tmp_path) == {0: {"a/val": 0.25}}
  assert list(metrics.read(tmp_path, max_embs=2)) == [0, 4]
  whole, some = {0: {"a/val": 0.25}}, {4: {"a/val": 0.75}}
  assert metrics.read(tmp_path, max_embs=3) == whole | some
  assert metrics.read(tmp_path, max_embs=4) == whole
  assert metrics.table(tmp_path).splitlines()[2:] == [
    "a/val        0.5000        0.7500",
    "step 0: of 2 videos of a split only (--max_embs)",
    "step 4: of 3 videos of a split only (--max_embs)",
  ]
