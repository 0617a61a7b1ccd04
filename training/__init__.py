"""The training package: recorded demand → windows → models → bundles. The scaler never imports it."""

import os

# xgboost and torch bring an OpenMP each; threads of one that spin while they wait take the processors from the other.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # as in scaler/__init__.py, which may come later
