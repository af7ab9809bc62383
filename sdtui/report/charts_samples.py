"""Raw samples made few enough to draw, without losing an extreme."""

from __future__ import annotations

from collections.abc import Sequence

Point = tuple[float, float]


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """Returns at most ``most`` points: of each stretch of x the lowest and the highest, in order.

    Args:
        points: (x, y), x ascending.
        most: 2 or more.
    """
    if len(points) <= most:
        return list(points)
    begin, end = points[0][0], points[-1][0]
    stretches = most // 2
    bins: dict[int, list[Point]] = {}
    for point in points:
        number = min(stretches - 1, int((point[0] - begin) / (end - begin or 1) * stretches))
        bins.setdefault(number, []).append(point)
    kept = []
    for members in bins.values():
        extremes = {min(members, key=lambda point: point[1]), max(members, key=lambda point: point[1])}
        kept += sorted(extremes)
    return kept
