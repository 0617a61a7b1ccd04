"""What `headway check` and the page `/try` look for. A rule is a pure function: (ScaledObject, Context) → findings.

Adding one: write the function in the file of its subject, add its name to RULES.
"""

from collections.abc import Callable, Iterable
from typing import TypeAlias

from scaler.checks import (
    annotated,
    connection,
    kedas_own,
    keys,
    metadata,
    planned,
    safety,
    scaling,
    types,
    versions,
)
from scaler.checks.finding import Context, Finding, Level
from scaler.manifest import ScaledObject

__all__ = ["RULES", "Context", "Finding", "Level", "Rule", "inspect"]

Rule: TypeAlias = Callable[[ScaledObject, Context], Iterable[Finding]]

RULES: tuple[Rule, ...] = (
    types.templates,
    types.field_types,
    keys.unknown_keys,
    metadata.our_trigger_present,
    metadata.trigger_faults,
    metadata.unquoted_values,
    metadata.duplicate_keys,
    metadata.overridden_keys,
    metadata.from_env,
    metadata.mode_is_silent,
    metadata.empty_answer_counts_as_zero,
    metadata.lead_time_too_short,
    metadata.model_is_there,
    planned.planned_maximum,
    planned.planned_stand_in,
    planned.planned_labels,
    annotated.annotations,
    annotated.not_wrapped,
    annotated.server_credentials,
    kedas_own.keda_faults,
    kedas_own.rounded_threshold,
    kedas_own.retired_keys,
    connection.scaler_address,
    connection.keda_booleans,
    connection.tls_keys_in_metadata,
    connection.unsafe_ssl_alone,
    safety.scaled_job,
    safety.metric_type,
    safety.reactive_floor,
    safety.fallback,
    safety.fallback_at_zero,
    safety.fallback_values,
    safety.scaling_modifiers,
    scaling.replica_bounds,
    scaling.minimum_zero,
    scaling.idle_replicas,
    scaling.polling_interval,
    scaling.cached_metrics,
    scaling.scale_up_behavior,
    scaling.paused,
    versions.keda_version,
)


def inspect(scaled: ScaledObject, context: Context) -> list[Finding]:
    """Every finding of every rule, errors first, in the order of RULES."""
    found = [finding for rule in RULES for finding in rule(scaled, context)]
    return sorted(found, key=lambda finding: list(Level).index(finding.level))
