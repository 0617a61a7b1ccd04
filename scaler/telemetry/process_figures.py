"""What Headway exports about one process."""

from scaler.telemetry.figure import Figure, Kind, Unit

STEP_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 7.5, 10.0, 15.0, 30.0)

RPC_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

STEPS = ("refresh", "lease", "observe", "forecast", "publish")
"""steps that `Telemetry.step` times, named after the functions in scaler/refresh/; `refresh` is a complete tick"""

QUEUES = (
    "new_registrations",
    "backfill_fine",
    "backfill_coarse",
    "backfill_hole",
    "backfill_minutes",
    "first_forecasts",
    "rehearsal",
    "store_watched",
    "store_blocks",
    "store_minutes",
    "store_savings",
    "store_scores",
    "restore_scores",
    "store_plans",
    "store_anomalies",
    "source_proven",
    "source_new",
    "source_suspect",
    "source_range",
)

QUOTAS = ("triggers", "triggers-per-namespace", "streams", "streams-per-namespace", "connections")

PURPOSES = (
    "grpc_server",
    "grpc_client_ca",
    "http_server",
    "http_client_ca",
    "source_client",
    "source_ca",
    "redis_client",
    "redis_ca",
    "database_client",
    "database_ca",
)
"""what a certificate is for; those in …_ca are authorities that Headway trusts"""

LEADS = ("2 min", "5 min", "15 min", "60 min", "peak")
"""what is scored of a forecast"""

LEAD_LEVELS = ("0.1", "0.5", "0.9", "0.95", "0.99")
"""quantiles that are scored at each of them"""

HTTP_REFUSALS = ("connections", "share", "slow", "body", "host", "certificate", "token")
"""why the HTTP port refused a connection or a request"""

TRIGGERS_BY_RUNG = Figure(
    "triggers_by_rung", "headway_triggers", Kind.GAUGE, ("rung",), Unit.NUMBER,
    "Watched triggers on each rung of the fallback ladder",
)  # fmt: skip

PROCESS_FIGURES: tuple[Figure, ...] = (
    Figure("build_info", "headway_build_info", Kind.GAUGE, ("version",), Unit.YES, "Always 1; the running version"),
    Figure("bundle_info", "headway_bundle_info", Kind.GAUGE, ("model",), Unit.YES, "1 for each bundle in use"),
    Figure(
        "watched_triggers", "headway_watched_triggers", Kind.GAUGE, (), Unit.NUMBER,
        "Triggers that this process was called about and that have not expired, and listed ones",
    ),
    Figure(
        "refreshed_triggers", "headway_refreshed_triggers", Kind.GAUGE, (), Unit.NUMBER,
        "Triggers that this process observes and forecasts; other replicas do the rest",
    ),
    Figure(
        "deferred_forecasts", "headway_deferred_forecasts", Kind.GAUGE, (), Unit.NUMBER,
        "Forecasts deferred in the last refresh, because all would take more than half the interval",
    ),
    Figure(
        "forecast_deferred", "headway_forecast_deferrals_total", Kind.COUNTER, (), Unit.NUMBER,
        "Forecasts deferred to a later refresh; one forecast counts once per refresh that defers it",
    ),
    Figure(
        "queue_length", "headway_queue_length", Kind.GAUGE, ("queue",), Unit.NUMBER,
        f"Triggers that wait for a background task, by queue: {', '.join(QUEUES)}. backfill_… are the phases of "
        "fetching history, store_… wait for the database (of store_savings and store_scores, hours), restore_scores "
        "for the scores of their last week, source_… are requests that wait "
        "for a slot of their server: "
        "queries that were fast so far, new ones, those that were slow last time, and history",
    ),
    Figure(
        "refresh_interval", "headway_refresh_interval_seconds", Kind.GAUGE, (), Unit.SECONDS,
        "The setting `refresh-interval`; alerts measure ages in it",
    ),
    Figure(
        "last_refresh", "headway_last_refresh_timestamp_seconds", Kind.GAUGE, (), Unit.EPOCH,
        "When the last refresh without a failure ended; 0 before the first one",
    ),
    Figure(
        "refresh_step", "headway_refresh_step_duration_seconds", Kind.HISTOGRAM, ("step",), Unit.SECONDS,
        f"Time of one refresh, by step ({', '.join(STEPS)}; steps of several servers overlap)", STEP_BUCKETS,
    ),
    Figure(
        "observe_deadline", "headway_observe_deadlines_total", Kind.COUNTER, (), Unit.NUMBER,
        "Rounds of observing one server that reached their deadline, 0.8 of the refresh interval, before every trigger "
        "was answered. Late answers count when they come",
    ),
    Figure(
        "refresh_failed", "headway_refresh_failures_total", Kind.COUNTER, (), Unit.NUMBER,
        "Refreshes that failed; the log has the reason",
    ),
    Figure(
        "task_failed", "headway_task_failures_total", Kind.COUNTER, ("task",), Unit.NUMBER,
        "Background tasks that failed and were started again; the log has the reason",
    ),
    Figure(
        "refresh_overrun", "headway_refresh_overruns_total", Kind.COUNTER, (), Unit.NUMBER,
        "Refreshes that took longer than the refresh interval, so that the next one was late",
    ),
    Figure(
        "forecast_failed", "headway_forecast_failures_total", Kind.COUNTER, ("model",), Unit.NUMBER,
        "Failed runs of a bundle; the affected triggers keep their last forecast",
    ),
    Figure(
        "lead_triggers", "headway_lead_scored_triggers", Kind.GAUGE, ("lead",), Unit.NUMBER,
        "Triggers that this process refreshes and of which a forecast has come due, by lead "
        f"({', '.join(LEADS)}; `peak` is the largest demand over the time that plans look ahead). The next three "
        "figures are of these triggers, over about a week. Over several replicas, weight them with this number",
    ),
    Figure(
        "lead_coverage", "headway_lead_coverage_ratio", Kind.GAUGE, ("lead", "level"), Unit.SHARE,
        "Mean over these triggers of the share of demand that was within quantile `level` "
        f"({', '.join(LEAD_LEVELS)}): as large as the level where forecasts are calibrated",
    ),
    Figure(
        "lead_skill", "headway_lead_skill_ratio", Kind.GAUGE, ("lead",), Unit.SHARE,
        "Median over these triggers of 1 minus the pinball loss over that of the newest observation, both the mean "
        "over these levels",
    ),
    Figure(
        "lead_error", "headway_lead_error_ratio", Kind.GAUGE, ("lead",), Unit.SHARE,
        "Median over these triggers of the mean absolute error of the median, over demand (MAPE)",
    ),
    Figure(
        "backfill_failed", "headway_backfill_failures_total", Kind.COUNTER, ("phase",), Unit.NUMBER,
        "Failed attempts to fetch a trigger's history, by phase: fine, coarse, hole or minutes. They are repeated",
    ),
    Figure(
        "backfill_triggers", "headway_backfill_triggers", Kind.GAUGE, ("state",), Unit.NUMBER,
        "Triggers that this process refreshes, by the state of their history: done, waiting (not complete yet), "
        "failing (the last attempt to fetch a part failed; it is repeated)",
    ),
    Figure(
        "backfill_oldest_wait", "headway_backfill_oldest_wait_seconds", Kind.GAUGE, (), Unit.SECONDS,
        "How long the trigger that has waited longest for a part of its history has waited; 0 when all is fetched",
    ),
    Figure(
        "source_error", "headway_source_errors_total", Kind.COUNTER, ("server", "kind"), Unit.NUMBER,
        "Failed observations, by server (`others` beyond a hundred) and kind: SourceUnavailable, SourceRefused, "
        "NoDemand, AmbiguousDemand, NotAsked (other requests had the slots of the server)",
    ),
    Figure(
        "circuit_open", "headway_source_circuit_open", Kind.GAUGE, ("server",), Unit.YES,
        "1 while requests to a server are not sent, because several in a row failed, and it answers nobody",
    ),
    Figure(
        "http_refused", "headway_http_refused_total", Kind.COUNTER, ("reason",), Unit.NUMBER,
        "Connections and requests that the HTTP port refused or ended. `connections`: all places were taken; `share`: "
        "the client has its share of connections; `slow`: the client did not read its answer; `body`: it sent half a "
        "megabyte that was not asked for; `host`: not a name of `http-allowed-hosts`; `certificate`, `token`: missing "
        "or wrong",
    ),
    Figure(
        "stale_files", "headway_stale_files", Kind.GAUGE, (), Unit.NUMBER,
        "Credentials and certificates whose files have changed and cannot be used; the last good ones are in use",
    ),
    Figure(
        "certificate_start", "headway_certificate_start_timestamp_seconds", Kind.GAUGE, ("purpose", "file"), Unit.EPOCH,
        "Beginning of the validity of a certificate that the settings name, see the next figure",
    ),
    Figure(
        "certificate_expiry", "headway_certificate_expiry_timestamp_seconds", Kind.GAUGE, ("purpose", "file"),
        Unit.EPOCH,
        f"End of the validity, by purpose ({', '.join(PURPOSES)}) and file. Of a chain the certificate that expires "
        "first, of several authorities the one that expires last. Absent while the file cannot be read",
    ),
    Figure(
        "leases", "headway_leases", Kind.GAUGE, (), Unit.NUMBER,
        "Triggers whose lease this process holds: all of them without other replicas, or while the cache is down",
    ),
    Figure(
        "lease_lost", "headway_leases_lost_total", Kind.COUNTER, (), Unit.NUMBER,
        "Triggers that this process refreshed and that another replica has leased since",
    ),
    Figure(
        "publish_late", "headway_publish_late_total", Kind.COUNTER, (), Unit.NUMBER,
        "Outlooks that were not shared because the leases had run out: this process was stopped or is too slow",
    ),
    Figure(
        "lease_taken_over", "headway_leases_taken_over_total", Kind.COUNTER, (), Unit.NUMBER,
        "Triggers that this process began to refresh with the outlook of another replica, or with one from before its "
        "start",
    ),
    Figure(
        "orphaned_triggers", "headway_orphaned_triggers", Kind.GAUGE, (), Unit.NUMBER,
        "Triggers that this process refreshes because the replica that holds their lease does not publish them",
    ),
    Figure(
        "cache_up", "headway_cache_up", Kind.GAUGE, (), Unit.YES,
        "1 if the shared cache answered last time; while 0, every replica refreshes all its triggers",
    ),
    Figure(
        "cache_refused", "headway_cache_refused_total", Kind.COUNTER, (), Unit.NUMBER,
        "Values in Redis that were read and refused: no outlooks of this version, or not signed with our key. The log "
        "event cache_values_refused has the reason",
    ),
    Figure(
        "store_up", "headway_store_up", Kind.GAUGE, (), Unit.YES,
        "1 if the database answered last time; while 0, new state does not survive a restart",
    ),
    Figure(
        "savings_dropped", "headway_savings_dropped_total", Kind.COUNTER, (), Unit.NUMBER,
        "Hours of savings that were lost, the oldest first, because the database did not take them in time",
    ),
    Figure(
        "scores_dropped", "headway_scores_dropped_total", Kind.COUNTER, (), Unit.NUMBER,
        "Hours of a trigger's scores that were lost, the oldest first, because the database did not take them in time",
    ),
    Figure(
        "plans_dropped", "headway_plans_dropped_total", Kind.COUNTER, (), Unit.NUMBER,
        "Past plans that were lost, the oldest first, because the database did not take them in time",
    ),
    Figure(
        "anomalies_dropped", "headway_anomalies_dropped_total", Kind.COUNTER, (), Unit.NUMBER,
        "Anomalies that are not listed, the oldest first, because the database did not take them in time",
    ),
    Figure(
        "discovered_objects", "headway_discovered_objects", Kind.GAUGE, (), Unit.NUMBER,
        "ScaledObjects with the annotation `headway.dev/forecast` whose trigger is watched. Absent without "
        "`discover-namespaces`",
    ),
    Figure(
        "discovery_refused", "headway_discovery_refused_objects", Kind.GAUGE, (), Unit.NUMBER,
        "ScaledObjects with that annotation that are refused; the log, the API and `headway why` have the faults",
    ),
    Figure(
        "discovery_up", "headway_discovery_up", Kind.GAUGE, ("scope",), Unit.YES,
        "1 while the ScaledObjects of the namespace `scope` (`*`: all) are watched; while 0, known ones stay, and new "
        "ones are not seen",
    ),
    Figure(
        "discovery_failed", "headway_discovery_failures_total", Kind.COUNTER, ("scope",), Unit.NUMBER,
        "Lists and watches that failed, and watches that broke off; they are repeated",
    ),
    Figure(
        "rpc_calls", "headway_rpc_calls_total", Kind.COUNTER, ("method", "code"), Unit.NUMBER,
        "KEDA's calls, by method and gRPC status",
    ),
    Figure(
        "rpc_duration", "headway_rpc_duration_seconds", Kind.HISTOGRAM, ("method", "code"), Unit.SECONDS,
        "Time of KEDA's calls, by method and gRPC status, from the moment at which the event loop takes the call up. "
        "First calls that wait for their answer are included; streams are not", RPC_BUCKETS,
    ),
    Figure(
        "loop_delay", "headway_event_loop_delay_seconds", Kind.HISTOGRAM, (), Unit.SECONDS,
        "How long the event loop keeps a call waiting before it takes it up, sampled four times a second", RPC_BUCKETS,
    ),
    Figure(
        "cold_start", "headway_cold_starts_total", Kind.COUNTER, (), Unit.NUMBER,
        "Triggers registered without a shared or stored outlook; their first answer had to wait for an observation",
    ),
    Figure(
        "trigger_expired", "headway_expired_triggers_total", Kind.COUNTER, (), Unit.NUMBER,
        "Triggers forgotten after `trigger-expiry` without a call, because they are no longer listed, or because a "
        "newer one needed their room",
    ),
    Figure(
        "quota_limit", "headway_quota_limit", Kind.GAUGE, ("quota",), Unit.NUMBER,
        f"What the settings allow, by quota ({', '.join(QUOTAS)}): the settings `max-QUOTA`",
    ),
    Figure(
        "quota_used", "headway_quota_used", Kind.GAUGE, ("quota",), Unit.NUMBER,
        "What is in use of a quota; of one per namespace, by the namespace that uses most. Absent for connections, "
        "which gRPC counts itself",
    ),
    Figure(
        "quota_refused", "headway_quota_refused_total", Kind.COUNTER, ("quota",), Unit.NUMBER,
        "Calls, streams and discovered objects that a quota refused: KEDA gets RESOURCE_EXHAUSTED, and `headway_quota_"
        "used` near its limit says that it will happen. Absent for connections",
    ),
    Figure(
        "champion_info", "headway_champion_info", Kind.GAUGE, ("scope", "model"), Unit.YES,
        "1 for what serves each scope that has a champion; the scope of all triggers is empty",
    ),
    Figure(
        "champion_on_probation", "headway_champion_on_probation", Kind.GAUGE, ("scope", "model"), Unit.YES,
        "1 while a champion is compared with its predecessor, and may be rolled back",
    ),
    Figure(
        "probation_loss_ratio", "headway_probation_loss_ratio", Kind.GAUGE, ("scope", "model"), Unit.SHARE,
        "Loss of a champion on probation over that of its predecessor, on the triggers that this process refreshes",
    ),
    Figure(
        "model_rolled_back", "headway_model_rolled_back_total", Kind.COUNTER, (), Unit.NUMBER,
        "Champions that this process has rolled back, because they lost to their predecessors",
    ),
    Figure(
        "retraining_timestamp", "headway_retraining_timestamp_seconds", Kind.GAUGE, ("outcome",), Unit.EPOCH,
        "Time at which `headway retrain` last came to its end: `finished`, whether it published or not, or `failed`. "
        "Absent where it never did, and without a database",
    ),
    Figure(
        "refused_bundles", "headway_refused_bundles", Kind.GAUGE, (), Unit.NUMBER,
        "Bundles that are refused now, or places of bundles that cannot be read; others serve in their place",
    ),
    Figure(
        "bundle_refused", "headway_bundle_refusals_total", Kind.COUNTER, (), Unit.NUMBER,
        "Bundles refused because they did not match their specification; the running one stayed in use",
    ),
)  # fmt: skip
