"""Neural cores: inputs in scaled units → ascending quantiles in scaled units.

`network` says what is computed, `fit` how it is learned, `export` how it becomes ONNX, `core` joins the three.

Axes: N windows, F features, P patches of the last day (oldest first), C channels of a patch, D width, K targets,
Q quantile levels.
"""
