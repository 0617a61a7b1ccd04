"""Neural cores: inputs in scaled units → ascending quantiles in scaled units.

network.py is the architecture, fit.py the training, export.py the conversion to ONNX, core.py joins the three.

Axes: N windows, F features, P patches of the last day (oldest first), C channels of a patch, D width, K targets,
Q quantile levels.
"""
