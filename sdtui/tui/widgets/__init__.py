"""What screens are made of; each widget is drawn from plain data."""
