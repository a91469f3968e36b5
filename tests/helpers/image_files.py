"""Makes folders of images for tests."""

from PIL import Image

from tests.helpers import video_files


def make(folder, count=12, ending="jpg", size=None, pattern="img{}", **options):
  """Writes images of `video_files.quartered`; names are not padded."""
  folder.mkdir(parents=True, exist_ok=True)
  for number in range(count):
    image = Image.fromarray(video_files.quartered(number))
    if size:
      image = image.resize(size)
    image.save(folder / f"{pattern.format(number)}.{ending}", **options)
  return folder
