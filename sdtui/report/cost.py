"""What images cost at a price per hour that a person names."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sdtui.model.errors import UserError


@dataclass(frozen=True)
class Price:
    """Of the machine, in any currency.

    Attributes:
        text: As a person wrote it, such as ``2.49/h``.
        per_hour: The same as a number.
    """

    text: str
    per_hour: float

    def of_thousand_images(self, images_per_second: float | None) -> float | None:
        """Returns the price of 1,000 images at a rate; ``None`` where there is no rate."""
        return self.per_hour / 3600 * 1000 / images_per_second if images_per_second else None


def parse_price(text: str) -> Price:
    """Reads a price per hour.

    Raises:
        UserError: It is none, or zero.
    """
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)/h", text.strip(), re.ASCII)
    if found is None or not float(found[1]) > 0:
        raise UserError(f"--price: '{text}' is no price per hour; write it as 2.49/h")
    return Price(found.group(), float(found[1]))
