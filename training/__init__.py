"""Headway, the offline package: trains, compares, exports and replays. The scaler never imports it."""
