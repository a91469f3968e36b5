from data import known_datasets


def test_phases_of_the_known_data_sets():
  phases = {
    key: len(known_datasets.name_phases(key, 0))
    for key in known_datasets.KEY_EVENTS
  }
  assert phases == {
    **{"pouring": 5, "baseball_pitch": 4, "baseball_swing": 3},
    **{"bench_press": 2, "bowling": 3, "clean_and_jerk": 6, "golf_swing": 3},
    **{"jumping_jacks": 4, "pullups": 2, "pushups": 2, "situp": 2},
    **{"squats": 4, "tennis_forehand": 3, "tennis_serve": 4},
  }
  assert known_datasets.name_phases("bowling", 3) == (
    "start to ball swung fully back",
    "ball swung fully back to ball release",
    "ball release to end",
  )


def test_more_labels_than_known_phases_are_numbered():
  numbered = ("phase 0", "phase 1", "phase 2")
  assert known_datasets.name_phases("pullups", 3) == numbered
  assert known_datasets.name_phases("mine", 0) == ()
