"""What surrounds the scaler: images, dashboards, examples, and local stacks."""
