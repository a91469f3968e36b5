"""The parts of a training run: step, checkpoints, optimizers, log."""
