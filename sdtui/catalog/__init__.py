"""What can be measured, as data: pipelines, modes, presets, configs, counts, the page's tables; and plans over it."""
