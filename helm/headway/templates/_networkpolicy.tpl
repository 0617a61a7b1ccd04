{{/*
The namespace of a server in this cluster, from its URL or pattern: (dict "root" $ "url" …). A host without a dot is a
Service of the release's own namespace. Empty where the host does not show it.
*/}}
{{- define "headway.namespaceOf" -}}
{{- $host := regexReplaceAll "^[a-z]+://([^/:]+).*$" .url "${1}" -}}
{{- if regexMatch "^[a-z0-9-]+\\.[a-z0-9-]+(\\.svc(\\..+)?)?$" $host -}}
{{- index (splitList "." $host) 1 -}}
{{- else if regexMatch "^[a-z0-9-]+$" $host -}}
{{- .root.Release.Namespace -}}
{{- end -}}
{{- end -}}

{{/* The port of a URL: as written, or that of its scheme. */}}
{{- define "headway.portOf" -}}
{{- $port := regexFind ":[0-9]+(/|$)" . | trimPrefix ":" | trimSuffix "/" -}}
{{- $port | default (ternary "443" "80" (hasPrefix "https" .)) -}}
{{- end -}}

{{/* Where servers are, as JSON: {"namespaces": […], "ports": […] of servers elsewhere}: (dict "root" $ "urls" […]). */}}
{{- define "headway.placesOf" -}}
{{- $namespaces := list -}}
{{- $ports := list -}}
{{- range compact .urls -}}
{{- $url := lower . -}}
{{- $namespace := include "headway.namespaceOf" (dict "root" $.root "url" $url) -}}
{{- if $namespace -}}
{{- $namespaces = append $namespaces $namespace -}}
{{- end -}}
{{- /* https://example.com has the form of a Service and its namespace, too; a name without a dot may be of the node's domain */ -}}
{{- if or (not $namespace) (not (contains "." $url)) (and (hasPrefix "https" $url) (not (contains ".svc" $url))) -}}
{{- $ports = append $ports (include "headway.portOf" $url | int) -}}
{{- end -}}
{{- end -}}
{{- dict "namespaces" (uniq $namespaces) "ports" (uniq $ports) | toJson -}}
{{- end -}}

{{/* The servers that the settings allow. */}}
{{- define "headway.servers" -}}
{{- $allowed := index .Values.settings "allow-server-address" | default list -}}
{{- include "headway.placesOf" (dict "root" $ "urls" (prepend $allowed (.Values.settings.prometheus | default ""))) -}}
{{- end -}}

{{/* The OpenTelemetry collector, unless egress.tracesPorts names its ports. */}}
{{- define "headway.collector" -}}
{{- $urls := list (index .Values.settings "traces-endpoint" | default "") -}}
{{- include "headway.placesOf" (dict "root" $ "urls" (ternary list $urls (not (empty .Values.networkPolicy.egress.tracesPorts)))) -}}
{{- end -}}

{{/* Peers: every pod of the namespaces. */}}
{{- define "headway.namespacePeers" -}}
{{- range uniq . }}
- namespaceSelector:
    matchLabels:
      kubernetes.io/metadata.name: {{ . | toYaml }}
{{- end }}
{{- end -}}

{{/* TCP ports, as a rule lists them. */}}
{{- define "headway.tcpPorts" -}}
{{- range . }}
- port: {{ . }}
  protocol: TCP
{{- end }}
{{- end -}}

{{- define "headway.ingress" -}}
- from:
    {{- include "headway.namespacePeers" (list .Values.kedaNamespace) | trim | nindent 4 }}
  ports:
    {{- include "headway.tcpPorts" (list "grpc") | trim | nindent 4 }}
- from:
    {{- $own := include "headway.namespaceOf" (dict "root" $ "url" (.Values.settings.prometheus | default "")) }}
    {{- with concat (list $own) .Values.networkPolicy.monitoringNamespaces | compact }}
    {{- include "headway.namespacePeers" . | trim | nindent 4 }}
    {{- end }}
    # the training job and the test of this release
    - podSelector:
        matchLabels:
          app.kubernetes.io/name: {{ include "headway.name" . }}
          app.kubernetes.io/instance: {{ .Release.Name }}
  ports:
    {{- include "headway.tcpPorts" (uniq (list "http" (include "headway.http.probePort" .))) | trim | nindent 4 }}
{{- with .Values.networkPolicy.extraIngress }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "headway.egress" -}}
{{- $servers := include "headway.servers" . | fromJson -}}
{{- $collector := include "headway.collector" . | fromJson -}}
# DNS
- ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
{{- with $servers.namespaces }}
# Prometheus in the cluster: a policy sees the port of its pods, which the address need not show
- to:
    {{- include "headway.namespacePeers" . | trim | nindent 4 }}
{{- end }}
{{- with $servers.ports }}
# Prometheus elsewhere
- ports:
    {{- include "headway.tcpPorts" . | trim | nindent 4 }}
{{- end }}
{{- if .Values.valkey.enabled }}
# the Valkey of this release
- to:
    - podSelector:
        matchLabels:
          {{- include "headway.selectorLabels" (dict "root" $ "component" "valkey") | nindent 10 }}
  ports:
    {{- include "headway.tcpPorts" (list 6379) | trim | nindent 4 }}
{{- end }}
{{- if or .Values.redis.existingSecret .Values.redis.url }}
# Redis
- ports:
    {{- include "headway.tcpPorts" .Values.networkPolicy.egress.redisPorts | trim | nindent 4 }}
{{- end }}
{{- if or .Values.database.existingSecret .Values.database.url }}
# PostgreSQL
- ports:
    {{- include "headway.tcpPorts" .Values.networkPolicy.egress.databasePorts | trim | nindent 4 }}
{{- end }}
{{- if contains "://" .Values.bundle.url }}
# the object store of bundles
- ports:
    {{- include "headway.tcpPorts" (list (include "headway.portOf" (regexReplaceAll "^(s3|gs|gcs|abfs|abfss|az|adl|oci)://.*" .Values.bundle.url "https://store") | int)) | trim | nindent 4 }}
{{- end }}
{{- if .Values.discovery.enabled }}
# the API server: 443 is the Service's port, 6443 that of most clusters behind it
- ports:
    {{- include "headway.tcpPorts" (list 443 6443) | trim | nindent 4 }}
{{- end }}
{{- with $collector.namespaces }}
# the OpenTelemetry collector in the cluster
- to:
    {{- include "headway.namespacePeers" . | trim | nindent 4 }}
{{- end }}
{{- with .Values.networkPolicy.egress.tracesPorts | default $collector.ports }}
# the OpenTelemetry collector
- ports:
    {{- include "headway.tcpPorts" . | trim | nindent 4 }}
{{- end }}
{{- with .Values.networkPolicy.egress.extra }}
{{ toYaml . }}
{{- end }}
{{- end -}}
