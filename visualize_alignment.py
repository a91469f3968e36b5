"""Shows videos aligned by their embeddings: .mp4, .gif, or a page to use.

  python visualize_alignment.py --embs_path /tmp/embeddings.npy

draws a grid of all videos, each at the moment that matches the reference's.
With --nogrid_mode it draws one candidate beside the reference with a map of
their alignment, or, with --switch_video too, jumps from one to the other.

  python visualize_alignment.py --embs_path E --html_path aligned.html

writes the viewer, a page in which all videos follow the one that you choose.
"""

from absl import flags

from core import command_line
from visualization.alignment import visualize
from visualization.viewer import write_page

FLAGS = flags.FLAGS


def main() -> None:
  """Read the flags, one for each parameter, and write what they ask for."""
  if FLAGS.html_path:
    command_line.call_with_flags(write_page)
  if FLAGS["video_path"].present or not FLAGS.html_path:
    command_line.call_with_flags(visualize)


if __name__ == "__main__":
  command_line.define_path(
    "video_path",
    "/tmp/aligned.mp4",
    "File to write: .mp4 (H.264, at most 1920 x 1080 pixels), .gif (at"
    " most 960 x 960), or .png (a still: some videos at some moments of the"
    " reference; in grid mode only).",
  )
  command_line.define_path(
    "embs_path",
    None,
    "Embeddings with frames, from extract_embeddings.py --keep_data; may be a"
    " pattern in quotes, such as '/tmp/embs_*.npy', to show several files.",
    required=True,
  )
  command_line.define_path(
    "html_path",
    None,
    "File to write the viewer to: one page with all videos, for any browser."
    " No video is written then, unless --video_path is given, too.",
  )
  flags.DEFINE_integer(
    "html_width",
    160,
    "Pixels that frames are wide in the viewer; smaller ones stay as they are.",
    lower_bound=1,
  )
  flags.DEFINE_integer(
    "html_stride",
    1,
    "The viewer shows every n-th frame; it aligns all of them.",
    lower_bound=1,
  )
  flags.DEFINE_boolean(
    "use_dtw",
    False,
    "Align by dynamic time warping, which never goes back in time and matches"
    " first and last frames; otherwise by each frame's nearest neighbor.",
  )
  flags.DEFINE_string(
    "reference_video", "0", "Name or index (from 0) of the video to follow."
  )
  flags.DEFINE_string(
    "candidate_video",
    None,
    "Name or index (from 0) of the video to show with the reference. Default:"
    " all of them in a grid, the first other one with --nogrid_mode.",
  )
  flags.DEFINE_integer(
    "switch_video",
    None,
    "Only with --nogrid_mode: show this many frames of the reference, then jump"
    " to the matching moment of the candidate and play it to its end. Counts"
    " embedded frames. Default: no jump, both side by side.",
  )
  flags.DEFINE_boolean(
    "grid_mode",
    True,
    "A grid of all videos; --nogrid_mode shows the reference and a candidate.",
  )
  flags.DEFINE_boolean(
    "normalize_embeddings", False, "Compare embeddings scaled to length 1."
  )
  flags.DEFINE_float(
    "interval",
    None,
    "Milliseconds a frame; 50 is 20 frames a second. Default: as in the video"
    " that is shown; 50 where its times are not known.",
  )
  command_line.run(main)
