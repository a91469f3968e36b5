import keras
import numpy as np
import pytest

import config
from training import optimizers


def rates(steps, *settings, max_iters=1000):
  settings = [f"OPTIMIZER.LR.{setting}" for setting in settings]
  section = config.load(settings=settings).OPTIMIZER.LR
  rate = optimizers.learning_rate
  return np.array([rate(step, section, max_iters) for step in steps])


def test_fixed():
  got = rates([0, 7, 10**6], "DECAY_TYPE=fixed", "INITIAL_LR=0.02")
  np.testing.assert_allclose(got, 0.02, 1e-6)


def test_exp_decay_falls_in_stairs():
  decay = ("DECAY_TYPE=exp_decay", "EXP_DECAY_STEPS=10", "EXP_DECAY_RATE=0.9")
  got = rates([0, 9, 10, 19, 20, 100], *decay, "INITIAL_LR=0.5")
  powers = np.array([0, 0, 1, 1, 2, 10])
  np.testing.assert_allclose(got, 0.5 * 0.9**powers, 1e-6)


@pytest.mark.parametrize(
  "boundaries, powers",
  [("[5, 10]", [0, 0, 1, 1, 2, 2]), ("[7]", [0, 0, 0, 1, 1, 1]), ("[]", [0])],
)
def test_manual_multiplies_at_each_boundary(boundaries, powers):
  decay = ("DECAY_TYPE=manual", "MANUAL_LR_DECAY_RATE=0.2", "INITIAL_LR=3.0")
  decay += (f"MANUAL_LR_STEP_BOUNDARIES={boundaries}",)
  got = rates([0, 4, 5, 9, 10, 99][: len(powers)], *decay)
  np.testing.assert_allclose(got, 3.0 * 0.2 ** np.array(powers), 1e-6)


def test_poly_falls_linearly_to_0_at_the_last_step_and_stays_there():
  decay = ("DECAY_TYPE=poly", "INITIAL_LR=2.0")
  got = rates([0, 25, 50, 100, 150], *decay, max_iters=100)
  np.testing.assert_allclose(got, [2.0, 1.5, 1.0, 0.0, 0.0], atol=1e-6)


@pytest.mark.parametrize("kind", optimizers.SCHEDULES)
def test_every_schedule_starts_from_the_initial_rate(kind):
  first = rates([0], f"DECAY_TYPE={kind}", "INITIAL_LR=0.125")
  np.testing.assert_allclose(first, 0.125, 1e-6)


@pytest.mark.parametrize("kind", optimizers.SCHEDULES)
def test_warm_up_grows_linearly_and_then_leaves_the_schedule_alone(kind):
  schedule = [f"DECAY_TYPE={kind}", "EXP_DECAY_STEPS=2", "INITIAL_LR=0.1"]
  schedule += ["MANUAL_LR_STEP_BOUNDARIES=[3]"]
  steps = np.arange(8)
  np.testing.assert_allclose(
    rates(steps, *schedule, "NUM_WARMUP_STEPS=4", max_iters=10),
    rates(steps, *schedule, max_iters=10) * np.minimum(1, (steps + 1) / 4),
    1e-6,
  )


def run_optimizer(settings, gradients):
  optimizer = optimizers.build_optimizer(config.load(settings=settings))
  variable, values = keras.Variable(0.0), []
  optimizer.build([variable])
  for gradient in gradients:
    optimizer.apply([keras.ops.convert_to_tensor(gradient)])
    values.append(float(variable.numpy()))
  return values


def test_momentum_is_nine_tenths():
  settings = ["OPTIMIZER.TYPE=MomentumOptimizer", "OPTIMIZER.LR.INITIAL_LR=1.0"]
  # The speed is -1, -0.9, -0.81.
  values = run_optimizer(settings, [1.0, 0.0, 0.0])
  np.testing.assert_allclose(values, [-1.0, -1.9, -2.71], 1e-6)


def test_adam_takes_steps_of_the_rate_of_its_schedule():
  settings = ["OPTIMIZER.LR.INITIAL_LR=0.1", "OPTIMIZER.LR.DECAY_TYPE=manual"]
  settings += ["OPTIMIZER.LR.MANUAL_LR_STEP_BOUNDARIES=[2]"]
  # While the gradient is constant, a step of Adam is the learning rate.
  values = run_optimizer(settings, [3.0] * 4)
  np.testing.assert_allclose(values, [-0.1, -0.2, -0.21, -0.22], 1e-4)


def test_fused_adam_is_that_of_keras():
  rng = np.random.default_rng(0)
  start = rng.normal(size=(5, 7)).astype(np.float32)
  kinds = (optimizers.FusedAdam, keras.optimizers.Adam)
  weights = [keras.Variable(start) for _ in kinds]
  both = [kind(0.01) for kind in kinds]
  for optimizer, weight in zip(both, weights, strict=True):
    optimizer.build([weight])
  for scale in 10.0 ** rng.uniform(-4, 0, size=50):
    gradient = np.float32(scale * rng.normal(size=start.shape))
    for optimizer, weight in zip(both, weights, strict=True):
      optimizer.apply([gradient], [weight])
  fused, plain = (
    [v.numpy() for v in (weight, *optimizer.variables)]
    for optimizer, weight in zip(both, weights, strict=True)
  )
  for one, other in zip(fused, plain, strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
