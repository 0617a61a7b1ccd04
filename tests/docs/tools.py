"""What other programs take, as far as the pages use it: subcommands and flags. The programs are not installed wherever
the tests run. The rows of kubectl, docker (build, run), curl, grep, pg_dump, pg_restore and promtool were compared
with their own help; those of docker buildx and compose, cosign and kind follow their documentation and were not
run."""

_KUBECTL = {"--namespace", "-n", "--context"}
_BUILD = {"--file", "--tag", "--build-arg", "--secret"}

KUBECTL = {
    "apply": {"--filename", "-f"},
    "auth": {"--as"},
    "create": {"--from-file"},
    "debug": set[str](),
    "delete": {"--filename"},
    "describe": set[str](),
    "exec": {"--stdin"},
    "get": {"--output", "-o", "--watch", "-l", "-A"},
    "logs": {"--since", "--tail", "--prefix", "--previous", "--selector", "-l"},
    "patch": {"--type", "-p"},
    "port-forward": set[str](),
    "proxy": set[str](),
    "rollout": set[str](),
    "scale": {"--replicas"},
    "version": set[str](),
}

TOOLS: dict[str, dict[str, set[str]]] = {
    "kubectl": {command: flags | _KUBECTL for command, flags in KUBECTL.items()},
    "docker": {
        "build": _BUILD,
        "buildx": {"--format", "--platform"},
        "compose": {"--file", "--build", "--detach", "--volumes"},
        "push": set(),
        "run": {"--read-only", "--tmpfs", "--publish"},
    },
    "cosign": {
        "copy": set(),
        "verify": {"--certificate-oidc-issuer", "--certificate-identity-regexp"},
        "verify-attestation": {"--certificate-oidc-issuer", "--certificate-identity-regexp", "--type"},
    },
    "git": {"clone": set()},
    "kind": {"load": set()},
    "pip": {"install": set()},
    "promtool": {"check": set(), "tsdb": set()},
}
"""program → subcommand → flags"""

PLAIN = {
    "cd": set[str](),
    "curl": {"-s", "-sS", "--silent", "-X", "-H", "-d"},
    "diff": {"--ignore-blank-lines"},
    "grep": {"-E"},
    "pg_dump": {"--format", "--file"},
    "pg_restore": {"--no-owner", "--exit-on-error", "--dbname"},
}
"""program without subcommands → flags"""
