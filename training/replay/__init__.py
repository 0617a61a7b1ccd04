"""Replay: a past period run again against a simulated HPA and cluster, to judge whether forecasting would have paid.

    demand.py     what came, and what a metric server said of it at any moment
    start_up.py   how long pods take
    cluster.py    pods that carry the demand, or do not
    world.py      one period of one series with its cluster: everything that all policies share
    outlooks.py   what the scaler would have forecast at any moment of it, made in batches, kept in a cache
    policies/     who answers KEDA's question: reactive, Headway, an oracle, and what users might pick instead
    run.py        the loop: policy → KEDA and HPA → cluster, every 15 s
    score.py      what it cost and what it served
    front.py      comparisons at equal cost and at equal service
    contest.py    which policies run, and running them on several cores
    judge.py      search on the first part of the history, verdict on the rest
    telling.py    what page and terminal share;  figures/, report.py  the page;  table.py the terminal
    decisions.py  every decision as CSV
    recorded.py   demand from a file or a Prometheus;  scaled_object.py from YAML
    intake.py     from that to a case;  doubts.py is this demand?
    command.py    `headway replay`;  whole.py files that appear whole or not at all
    bout.py       one cell of the league;  standings.py its tables (benchmarks/league.py)

Nothing of the planner or of the HPA is written here: `scaler.decide` and `scaler.plan.hpa` run as they do in service.
"""
