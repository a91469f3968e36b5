"""Colors that tell phases apart."""

Color = tuple[float, float, float]

NO_PHASE: Color = (0.85, 0.85, 0.85)
# Of Okabe and Ito, for the color-blind too; without the yellow that paper
# swallows.
_SAFE_BYTES = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167))
_SAFE_BYTES += ((86, 180, 233), (230, 159, 0), (0, 0, 0))
SAFE_COLORS = [(r / 255, g / 255, b / 255) for r, g, b in _SAFE_BYTES]


def phase_colors(count: int) -> list[Color]:
  """Return RGB colors in [0, 1] for phases; they repeat after 20."""
  if count <= len(SAFE_COLORS):
    return SAFE_COLORS[:count]
  from matplotlib import colormaps  # Plots need it only when they are drawn.

  palette = colormaps["tab10" if count <= 10 else "tab20"].colors
  return [palette[phase % len(palette)] for phase in range(count)]
