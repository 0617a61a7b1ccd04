"""The table of every line that the log may have. docs/telemetry.md is generated from it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """One line that the log may have. `fields` stand beside event, level and timestamp."""

    name: str
    level: str
    fields: tuple[str, ...]
    meaning: str


EVENTS: tuple[Event, ...] = (
    Event(
        "settings", "info", ("settings",),
        "The settings from flags, environment and file, spelled as in the file; the others have their defaults. Once, "
        "at the start. Without secrets and the values of metadata",
    ),
    Event(
        "start_refused", "error", ("error", "exit_status"),
        "The process ends: flags, settings or what they name cannot be used. It is the last line. On a terminal, and "
        "with `log-format: console`, it is plain text",
    ),
    Event("crashed", "error", ("error",), "A bug: the process ends with status 1. The field `exception` shows where"),
    Event(
        "listening", "info", ("grpc_address", "http_address", "probe_address"),
        "The ports are open; `probe_address` is empty without one",
    ),
    Event(
        "restored", "info", ("triggers", "listed"),
        "Watched triggers were read from the database after a start; the settings list `listed` more",
    ),
    Event(
        "outlooks_taken_up", "info", ("triggers",),
        "So many triggers are answered as before the restart, until there is news of them",
    ),
    Event(
        "outlooks_ignored", "warning", ("count", "reason", "first"),
        "So many stored outlooks are not answered with: they are old, damaged, or nobody has asked for them. These "
        "triggers begin anew",
    ),
    Event(
        "no_source", "warning", ("consequence",),
        "Neither `prometheus` nor `allow-server-address` is set: every trigger will be refused",
    ),
    Event(
        "any_server", "warning", ("consequence",),
        "`allow-server-address` has `*`: everybody who may create a ScaledObject chooses which server this process "
        "calls",
    ),
    Event(
        "reloaded", "info", ("restart_needed",),
        "SIGHUP was received: files of credentials and certificates and the place of the bundles were looked at. "
        "`restart_needed`: settings that have changed in the file of `config`; they need a restart",
    ),
    Event("reload_failed", "error", ("file", "reason"), "On SIGHUP the file of `config` could not be read"),
    Event(
        "anomaly_began", "info",
        ("namespace", "name", "direction", "kind", "since", "until", "demand", "expected"),
        "For minutes, demand was `above` or `below` the band of its forecast, from `since` to `until` so far, and at "
        "its furthest `demand`, where `expected` was forecast. At most 20 of this and the next one a minute",
    ),
    Event(
        "anomaly_ended", "info",
        ("namespace", "name", "direction", "kind", "since", "until", "demand", "expected"),
        "Demand is back within the band; or it has been outside for so long that `kind` is `level_shift`",
    ),
    Event(
        "anomalies_not_stored", "warning", ("error",),
        "The database did not take anomalies; up to 5,000 wait for it. Once, until it takes them again",
    ),
    Event("draining", "info", (), "SIGTERM or SIGINT was received: health is NOT_SERVING, then the ports close"),
    Event("stopped", "info", (), "The process ends"),
    Event(
        "stop_cut_off", "error", ("seconds", "tasks"),
        "18 s after `drain-grace`, something was still being stored or closed: the process ends with status 1. `tasks` "
        "are those that it waited for. What was not stored yet is fetched again after the start",
    ),
    Event(
        "trigger_expired", "info", ("namespace", "name"),
        "A trigger without a call for `trigger-expiry`, one that is no longer listed, or one that made room for a "
        "newer one was forgotten",
    ),
    Event(
        "triggers_expired", "info", ("count",),
        "Further `count` triggers were forgotten at the same refresh",
    ),
    Event(
        "discovered", "info", ("namespace", "name", "trigger", "wrapped"),
        "A ScaledObject with the annotation `headway.dev/forecast` is watched as `trigger`, or as another one than "
        "before. `wrapped`: whether its own query reads the plan",
    ),
    Event(
        "discovered_gone", "info", ("namespace", "name"),
        "Such a ScaledObject was deleted, or has lost the annotation; its trigger is forgotten at the next refresh",
    ),
    Event(
        "discovery_refused", "warning", ("namespace", "name", "faults"),
        "Such a ScaledObject has faults and is not watched. Once per change",
    ),
    Event(
        "discovery_failed", "error", ("namespace", "name"),
        "Such a ScaledObject could not be read, by a fault of Headway; it is not watched",
    ),
    Event(
        "discovery_unavailable", "warning", ("scope", "error"),
        "The ScaledObjects of the namespace `scope` (`*`: all) cannot be watched; known ones stay. Once per reason",
    ),
    Event("discovery_back", "info", ("scope",), "They are watched again"),
    Event(
        "restore_refused", "warning", ("namespace", "name", "error"),
        "A trigger in the database breaks the current rules or a quota and is not restored; KEDA's next call may "
        "register it again. At most 20 per start",
    ),
    Event("restore_refused_more", "warning", ("count",), "So many further triggers were not restored either"),
    Event(
        "restore_failed", "error", ("namespace", "name"),
        "A trigger in the database cannot be registered, by a fault of Headway; its row is quarantined",
    ),
    Event(
        "model_not_used", "warning", ("namespace", "name", "why"),
        "A trigger names a `model` that the scaler does not have, or that was not fitted for it; another bundle "
        "forecasts. Once per trigger and reason",
    ),
    Event(
        "observation_failed", "warning", ("kind", "triggers", "namespace", "name", "error"),
        "The source returned no demand for `triggers` triggers. `namespace` and `name` are one of them, `error` is "
        "its error. Once per change",
    ),
    Event(
        "source_failed", "error", ("server", "error", "stack"),
        "A request to a source failed with an exception that is a fault of Headway: its kind, and where. Once per kind",
    ),
    Event("post_refused", "info", ("server", "status"), "The server refuses POST and answers GET; GET is used"),
    Event("observation_back", "info", ("triggers",), "The source returns demand again for `triggers` triggers"),
    Event(
        "no_subqueries", "debug", ("namespace", "name", "why"),
        "The server cannot aggregate blocks of history in subqueries; plain samples are used",
    ),
    Event(
        "bundle_refused", "error", ("bundle", "error", "serving"),
        "A bundle does not match its specification. `serving` stays in use, or replaces it",
    ),
    Event(
        "champions_unread", "warning", ("error",),
        "The index of models does not answer: the champions that are known go on. Once, until it answers again",
    ),
    Event(
        "champion_serves", "info", ("scope", "model", "before"),
        "Another version serves the triggers of a scope from now on. `before` is empty where none was the champion",
    ),
    Event(
        "model_rolled_back", "warning", ("scope", "model", "to", "reason"),
        "A champion on probation lost to its predecessor, which serves again. `headway models log` has the figures",
    ),
    Event(
        "roll_back_failed", "error", ("scope", "model", "error"),
        "A champion is to be rolled back, and the index of models refused or did not answer; it is tried again",
    ),
    Event(
        "probation_unscored", "warning", ("scope", "model", "previous"),
        "A champion cannot be compared with its predecessor, which reads history on another grid. It stays",
    ),
    Event(
        "bundle_awaited", "warning", ("bundle", "serving"),
        "The place of the bundles has not answered within 10 s of a start. `serving` is in use until it does; "
        "no answer waits",
    ),
    Event(
        "bundle_failed", "error", ("bundle", "error", "serving"),
        "A run of the bundle failed. `serving` answered in its place; if it is empty, no bundle did",
    ),
    Event(
        "watching_failed", "error", (),
        "Scores, anomalies or doubts of some forecasts were not noted, by a fault of Headway; plans are not affected",
    ),
    Event("forecast_failed", "error", ("model",), "A run of the bundle failed; the last forecasts are kept"),
    Event(
        "clock_set_back", "warning", ("seconds", "consequence"),
        "The machine's clock was set back by about `seconds`. History is fetched again; until then, answers are the "
        "observations",
    ),
    Event("backfill_failed", "error", ("namespace", "name"), "A trigger's history could not be read; it is retried"),
    Event(
        "rehearsal_failed", "error", ("namespace", "name"),
        "The experts could not be scored on a trigger's past; they are scored from now on",
    ),
    Event(
        "history_missing", "warning", ("namespace", "name", "phase", "error"),
        "A part of a trigger's history could not be fetched; it is tried again with growing pauses",
    ),
    Event(
        "history_gaps", "warning", ("namespace", "name", "phase", "gaps", "more"),
        "The source could not answer for some moments of a trigger's history; all others are used",
    ),
    Event("refresh_failed", "error", ("at",), "A refresh failed; the next one starts as usual"),
    Event("task_failed", "error", ("task",), "A background task failed and is started again"),
    Event(
        "call_failed", "error", ("rpc", "request_id", "error", "frames"),
        "A call failed by a fault of Headway; the caller got INTERNAL with this `request_id`",
    ),
    Event(
        "cache_unavailable", "warning", ("error", "consequence"),
        "Redis does not answer: this replica refreshes all its triggers itself",
    ),
    Event("cache_back", "info", (), "Redis answers again"),
    Event(
        "store_unavailable", "warning", ("error",),
        "The database does not answer: new state does not survive a restart",
    ),
    Event(
        "store_refused", "error", ("error",),
        "The database answers, and refuses the user, the password or the database, a permission is missing, or a table "
        "was changed. Answers go on; new state does not survive a restart until an operator acts",
    ),
    Event("store_back", "info", (), "The database answers again"),
    Event(
        "store_set_aside", "error", ("file", "aside", "error"),
        "The database file was damaged. It was renamed to `aside`, and a new one is used; nothing was deleted",
    ),
    Event(
        "store_file_replaced", "error", ("file", "found"),
        "The database file, or its log, was deleted or replaced while it was open: `found` is `another` file in its "
        "place, which is used, or `none`: a new one is made",
    ),
    Event(
        "partitions_refused", "warning", ("table", "error"),
        "The database did not let this process make or drop partitions of a table. Its rows lie in the default "
        "partition, and are deleted one by one",
    ),
    Event(
        "scores_not_stored", "warning", ("hours", "error"),
        "The process ends, and so many hours of scores are not in the database",
    ),
    Event(
        "outlooks_not_stored", "warning", ("triggers", "error"),
        "The process ends, and so many triggers begin anew after a restart: the database did not answer in time",
    ),
    Event(
        "outlook_not_taken_up", "error", ("key",),
        "A bug: a trigger begins anew, although its outlook is stored. The field `exception` shows where",
    ),
    Event(
        "plans_not_stored", "warning", ("plans", "error"),
        "So many past plans are not in the database: it refuses them, or the process ends",
    ),
    Event(
        "store_renewed", "warning", (),
        "The tables or the file of the database are not those that were written to: they were dropped, emptied, "
        "restored or replaced. Everything known is written again",
    ),
    Event(
        "store_rows_left_out", "warning", ("count",),
        "The database holds more triggers than the quotas allow, as after many edits. The latest of each namespace "
        "were read, `count` others were not",
    ),
    Event(
        "model_row_unusable", "warning", ("table", "row", "error"),
        "A row of the index of models holds no version or no decision, and is left out",
    ),
    Event(
        "store_rows_quarantined", "error", ("database", "table", "count", "first_key", "reason"),
        "Rows of the database cannot be used. They were moved into the table `quarantined`, or, where that fails, left "
        "out; docs/operations.md says how to look at them. `first_key` and `reason` are those of the first",
    ),
    Event(
        "history_lost", "warning", ("namespace", "name"),
        "Pages of the long history of a trigger are no longer in the database; they are written again",
    ),
    Event(
        "minutes_not_restored", "error", ("triggers",),
        "A bug: the stored minutes of so many triggers were not read, and are fetched again. The field `exception` "
        "shows where",
    ),
    Event(
        "cache_values_refused", "warning", ("server", "count", "first_key", "reason"),
        "Values in Redis are not outlooks of this version, or not signed with our key; they count as absent",
    ),
    Event(
        "cache_values_not_shared", "warning", ("count", "first_key", "reason"),
        "Outlooks are too large to be shared; each replica answers from its own",
    ),
    Event(
        "not_published", "warning", ("triggers", "why"),
        "Outlooks were not shared, because the leases had run out: other replicas may have newer ones",
    ),
    Event(
        "certificate_not_valid", "error", ("purpose", "file", "reason"),
        "A certificate of the settings has expired or is not valid yet: connections that need it fail. Once per reason",
    ),
    Event("files_renewed", "info", ("files",), "Files named in the settings changed, and were read again"),
    Event(
        "files_not_renewed", "warning", ("files", "reason"),
        "Files changed and cannot be used (missing, half written, not a pair). The last good ones stay in use. Once "
        "per reason",
    ),
)  # fmt: skip
