"""From recorded demand to windows: load → clean → cut. Nothing here knows a model."""
