"""Replay of a past period against a simulated HPA and cluster, to judge whether forecasting would have paid.

    input/       demand, a ScaledObject and options → a case
    simulation/  the simulated past: demand, forecasts, HPA, cluster
    policies/    what answers KEDA: reactive, Headway, an oracle, and alternatives
    verdict/     scores, comparisons at equal cost, search, verdict
    output/      terminal, page, JSON, CSV

Planner and HPA are not reimplemented: `scaler.decide` and `scaler.plan.hpa` run as in service.
The command is in training/commands/replay.py.
"""
