{{/* The kind of TLS at the HTTP port: tls or mtls; empty without. YAML reads a bare `off` as false. */}}
{{- define "headway.http.tls" -}}
{{- if has .Values.http.tls (list "tls" "mtls") }}{{ .Values.http.tls }}{{ end -}}
{{- end -}}

{{- define "headway.http.scheme" -}}
{{- ternary "https" "http" (ne (include "headway.http.tls" .) "") -}}
{{- end -}}

{{/* The names of the HTTP Service, as JSON. */}}
{{- define "headway.http.hosts" -}}
{{- $name := printf "%s-http" (include "headway.fullname" .) -}}
{{- $host := printf "%s.%s" $name .Release.Namespace -}}
{{- list $name $host (printf "%s.svc" $host) (printf "%s.svc.%s" $host .Values.clusterDomain) | toJson -}}
{{- end -}}

{{/* The container's port, by name, for probes and scrapes. */}}
{{- define "headway.http.probePort" -}}
{{- ternary "probes" "http" (ne (int .Values.http.probePort) 0) -}}
{{- end -}}

{{/* Whether probes and scrapes are by TLS. */}}
{{- define "headway.http.probesByTls" -}}
{{- if and (include "headway.http.tls" .) (not (int .Values.http.probePort)) }}true{{ end -}}
{{- end -}}

{{/* A probe's request: (dict "root" $ "path" …). The kubelet checks no certificate, and needs none. */}}
{{- define "headway.http.get" -}}
path: {{ .path }}
port: {{ include "headway.http.probePort" .root }}
{{- if include "headway.http.probesByTls" .root }}
scheme: HTTPS
{{- end }}
{{- end -}}

{{/* How Prometheus trusts the HTTP port. It calls pods by address, and finds the Service's name in their certificate. */}}
{{- define "headway.http.scrapeTls" -}}
{{- if .Values.serviceMonitor.tlsConfig -}}
{{- toYaml .Values.serviceMonitor.tlsConfig -}}
{{- else -}}
ca:
  secret:
    name: {{ include "headway.tls.secret" . | toYaml }}
    key: ca.crt
serverName: {{ printf "%s-http.%s.svc" (include "headway.fullname" .) .Release.Namespace }}
{{- end -}}
{{- end -}}
