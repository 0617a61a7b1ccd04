"""What learned models see, as graph nodes: written once, run while training, exported with the model."""
