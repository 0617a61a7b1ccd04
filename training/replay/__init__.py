"""Replay: a past period run again against a simulated HPA and cluster, to judge whether forecasting would have paid.

    input/       what a replay is given: demand, a ScaledObject, flags → a case
    simulation/  the past, run again: demand, forecasts, HPA, cluster
    policies/    who answers KEDA's question: reactive, Headway, an oracle, and what users might pick instead
    verdict/     scores, comparisons at equal cost, search, verdict
    output/      terminal, page, JSON, CSV

Nothing of the planner or of the HPA is written here: `scaler.decide` and `scaler.plan.hpa` run as they do in service.
The command is in training/commands/replay.py.
"""
