"""What KEDA talks to. `Servicer` answers the five RPCs from memory; `MetricServer` is the port it stands behind."""
