"""Names of exported figures that other parts read, too. Without imports, so that reading a manifest stays cheap."""

PLANNED_DEMAND = "headway_planned_demand"
"""what KEDA's own `prometheus` trigger reads"""
