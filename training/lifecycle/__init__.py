"""From a trained bundle to the champion: measuring it beside the one that serves, the gate, publishing, retraining.

gate.py       may the new model replace the one that serves? Pure
measuring.py  the figures that the gate looks at: losses, size, seconds, parity
replaying.py  and what replays of single series show
"""
