"""Colors that tell phases apart."""

from matplotlib import colormaps

Color = tuple[float, float, float]

NO_PHASE: Color = (0.85, 0.85, 0.85)


def phase_colors(count: int) -> list[Color]:
  """Return RGB colors in [0, 1] for phases; they repeat after 20."""
  palette = colormaps["tab10" if count <= 10 else "tab20"].colors
  return [palette[phase % len(palette)] for phase in range(count)]
