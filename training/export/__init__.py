"""From a fitted model to a bundle.

bundle.py     graph + manifest + reference cases → a folder, loaded as the scaler loads it
reference.py  the stored cases that a bundle must answer alike
parity.py     whether the graph answers as the model does
quantize.py   int8 weights, and what they cost
"""
