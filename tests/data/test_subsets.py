import pytest

from data.subsets import first_fraction


@pytest.mark.parametrize(
  ("fraction", "total", "count"),
  [(0.1, 12, 1), (0.5, 5, 2), (1.0, 7, 7), (0.29, 100, 29), (0.0, 3, 1)],
)
def test_first_fraction(fraction, total, count):
  assert first_fraction(range(total), fraction) == range(count)
