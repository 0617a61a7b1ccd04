"""The error tree. Each leaf names its gRPC status; the mapping to the wire happens in `metric/servicer.py` alone.

HeadwayError
├── TriggerError              the trigger is wrong: its author must act
│   └── TriggerInvalid            INVALID_ARGUMENT, lists every fault
├── QuotaReached              RESOURCE_EXHAUSTED, a namespace or all together have too much; what exists is not affected
├── DependencyError           something we need failed: it may recover by itself
│   ├── NotReady                  UNAVAILABLE, the first observation has not arrived yet
│   ├── SourceUnavailable         UNAVAILABLE, the source did not answer (network, timeout, 5xx, open circuit)
│   │   ├── TryAgain                  within scaler.history: the request may succeed when it is repeated
│   │   │   └── NoConnection              within scaler.history: the server was not reached at all
│   │   ├── NotAsked                  within scaler.history and refresh: nothing was sent, others had the slots
│   │   ├── TooSlow                   within scaler.history: a smaller request may be fast enough
│   │   ├── Partial                   within scaler.history: some data was missing, so the answer counts as none
│   │   └── Malformed                 within scaler.history: not what Prometheus answers; no part of it counts
│   ├── SourceRefused             FAILED_PRECONDITION, the source answered with an error (bad query, no access)
│   │   ├── BadQuery                  within scaler.history: one query of a joint request is wrong
│   │   └── TooLarge                  within scaler.history: a smaller request may be accepted
│   ├── NoDemand                  UNAVAILABLE, the query returned nothing (and ignoreNullValues is false)
│   ├── AmbiguousDemand           FAILED_PRECONDITION, the query returned several series, a string, …
│   ├── ApiUnavailable            scaler.discovery.api: the Kubernetes API; known objects stay, and it is asked again
│   │   ├── Gone                      within scaler.discovery: everything has to be listed again
│   │   ├── Unreadable                within scaler.discovery: what it sent is no list or no event
│   │   └── Denied                    within scaler.discovery: a permission, or KEDA, is missing
│   ├── CacheUnavailable          never reaches a caller: answers go on from memory
│   └── StoreUnavailable          never reaches a caller: answers go on from memory
│       └── StoreRefused              within scaler.store and refresh: an operator must act, waiting does not help
├── BodyTooLarge              scaler.http.body: an answer of more bytes than are read; callers name what it is
├── HeadTooLong               scaler.http.network: an answer whose headers do not end; as above
├── RecordInvalid             scaler.forecast.record: a shared outlook that cannot be read; it is ignored and counted
├── BundleError               the bundle is wrong: refused, the running one stays
│   └── BundleInvalid             INTERNAL, lists what differs
├── ModelRefused              scaler.models: a change of the index of models breaks a rule; nothing has changed
│   ├── UnknownModel              no such version was published
│   ├── VersionTaken              another graph was published under this version
│   ├── ModelRetired              the version was taken out of use
│   ├── ChampionChanged           somebody else changed the champion meanwhile
│   ├── NothingToRollBack         the scope has no champion, or one that replaced none
│   └── StillServes               the version serves a scope, or may have to again
├── SettingsError             a setting is wrong; `headway` prints it and exits with 2
│   ├── SettingsInvalid           scaler.settings.rules: lists every fault
│   └── ProxyUnusable             scaler.http.proxies: a proxy variable of the environment cannot be used
└── CommandError              a command cannot do what it was called for; `headway` prints it
    ├── Usage                     scaler.commands: wrong flags; exit status 2
    ├── Unreachable               scaler.commands.scaler_api: no scaler answers; exit status 3
    ├── NoAnswer                  scaler.client: no scaler answers, or what answers is none
    ├── ApiProblem                scaler.client: a scaler refuses the request, with field, value and rule
    ├── ManifestError             scaler.manifest: the file is not YAML or not a Kubernetes object; names the line
    └── …                         training/errors.py: what the training commands refuse
"""

from dataclasses import dataclass


class HeadwayError(Exception):
    """The root: its text is written for the person who reads it in an event or a log."""

    status: str = "INTERNAL"
    """name of the gRPC status that a caller gets"""


class TriggerError(HeadwayError):
    status = "INVALID_ARGUMENT"


MOST_SPELLED_OUT = 20
"""faults that one message spells out; the rest is counted"""

LONGEST_DIFFERENCE = 500
"""characters of one difference of a bundle: its files name what they like"""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault in an input: the field, its value, and the rule that it breaks."""

    field: str
    value: str
    rule: str

    def __str__(self) -> str:
        return f"{self.field}={self.value!r}: {self.rule}"


class TriggerInvalid(TriggerError):
    """Every fault of one trigger at once. `threshold` is set when it could be read in spite of the faults."""

    def __init__(self, faults: tuple[Fault, ...], threshold: float | None = None) -> None:
        self.faults = faults
        self.threshold = threshold
        noun = "fault" if len(faults) == 1 else "faults"
        spelled_out = "; ".join(map(str, faults[:MOST_SPELLED_OUT]))
        rest = f"; and {len(faults) - MOST_SPELLED_OUT} more" if len(faults) > MOST_SPELLED_OUT else ""
        super().__init__(f"{len(faults)} {noun} in the trigger: {spelled_out}{rest}")


class QuotaReached(HeadwayError):
    status = "RESOURCE_EXHAUSTED"


class DependencyError(HeadwayError):
    status = "UNAVAILABLE"


class NotReady(DependencyError):
    pass


class SourceUnavailable(DependencyError):
    pass


class SourceRefused(DependencyError):
    status = "FAILED_PRECONDITION"


class NoDemand(DependencyError):
    pass


class AmbiguousDemand(DependencyError):
    status = "FAILED_PRECONDITION"


class CacheUnavailable(DependencyError):
    pass


class StoreUnavailable(DependencyError):
    pass


class StoreRefused(StoreUnavailable):
    pass


class BundleError(HeadwayError):
    pass


class BundleInvalid(BundleError):
    """One refused bundle: `differences` lists what does not match, each in a sentence."""

    def __init__(self, bundle: str, differences: tuple[str, ...]) -> None:
        self.bundle = bundle
        self.differences = differences
        spelled_out = "; ".join(difference[:LONGEST_DIFFERENCE] for difference in differences[:MOST_SPELLED_OUT])
        rest = f"; and {len(differences) - MOST_SPELLED_OUT} more" if len(differences) > MOST_SPELLED_OUT else ""
        super().__init__(f"bundle {bundle} refused: {spelled_out}{rest}")


class SettingsError(HeadwayError):
    pass


class CommandError(HeadwayError):
    pass
