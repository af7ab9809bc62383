"""What the machine, its GPU and the worker do: described once, then sampled."""
