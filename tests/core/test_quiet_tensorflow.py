import os
import subprocess
import sys

import pytest

GROWTH = "TF_FORCE_GPU_ALLOW_GROWTH"


@pytest.mark.parametrize(
  ("given", "used"), [({}, "true"), ({GROWTH: "false"}, "false")]
)
def test_memory_of_gpus_is_taken_as_needed_unless_the_user_says_else(
  given, used
):
  process = subprocess.run(
    [
      sys.executable,
      "-c",
      f"import os, core.quiet_tensorflow; print(os.environ['{GROWTH}'])",
    ],
    env={k: v for k, v in os.environ.items() if k != GROWTH} | given,
    capture_output=True,
    check=True,
    text=True,
  )
  assert process.stdout == f"{used}\n"
  assert process.stderr == ""
