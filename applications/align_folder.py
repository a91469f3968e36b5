r"""Aligns the videos of a folder, from the files to a page to look at.

    python -m applications.align_folder --input_dir ~/clips \
      --output_dir ~/aligned

learns from the videos what moments they share, without labels, and writes

    index.html      the viewer: all videos in step, see docs/applications.md
    aligned.mp4     the same as a video
    frames.csv      for each frame the matching one of the reference video
    embeddings.npy  an embedding of each frame
    result.txt      what the alignment is worth
    logs/           the trained run, for all other commands
    plan.yml        what was decided, records/ and cache/ what it works on

Interrupted, the same command goes on. With --logdir a trained run embeds other
videos of the same action, such as those of the next day.
"""

import pathlib

from absl import flags

from core.command_line import call_with_flags, define_path, run

FLAGS = flags.FLAGS


def main() -> None:
  """Read the flags, one for each of the options, and align."""
  # Here: workers that convert videos import this file, and need no TensorFlow.
  import core.quiet_tensorflow  # noqa: F401

  from applications.folder_alignment import Options, align_folder

  align_folder(FLAGS.input_dir, FLAGS.output_dir, call_with_flags(Options))
  folder = pathlib.Path(FLAGS.output_dir)
  print((folder / "result.txt").read_text("utf-8"))
  print(f"Open {folder / 'index.html'} in a browser.")


if __name__ == "__main__":
  define_path("input_dir", None, "Folder of the videos.", required=True)
  define_path("output_dir", None, "Folder to write to.", required=True)
  flags.DEFINE_float(
    "minutes", 10.0, "What everything may take on this machine.", 1.0
  )
  define_path(
    "config", None, "Settings to start from: a copy of configs/own_videos.yml."
  )
  flags.DEFINE_multi_string(
    "set", [], "One setting, such as SEED=1; may be repeated."
  )
  define_path(
    "backbone",
    None,
    "A .keras file (default: ResNet-50 V2 with ImageNet weights, downloaded).",
  )
  define_path("logdir", None, "A trained run to use; nothing is trained, then.")
  define_path(
    "label_file", None, "Phases of some or all videos, see docs/data.md."
  )
  define_path(
    "reference_video",
    None,
    "The video that the others follow, by name, or another file (default: the"
    " one that is nearest to all others).",
  )
  flags.DEFINE_boolean(
    "use_dtw", False, "Match by dynamic time warping, not nearest neighbors."
  )
  run(main)
