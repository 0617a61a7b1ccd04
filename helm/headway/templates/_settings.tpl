{{/* The settings file: `settings` of the values, and what the chart decides. */}}
{{- define "headway.settings" -}}
{{- $settings := deepCopy .Values.settings -}}
{{- $_ := set $settings "grpc-address" (printf "%s:%d" .Values.listenAddress (int .Values.service.grpcPort)) -}}
{{- $_ := set $settings "http-address" (printf "%s:8080" .Values.listenAddress) -}}
{{- $_ := set $settings "data-dir" "/var/lib/headway" -}}
{{- with .Values.database.url }}{{ $_ := set $settings "database" . }}{{ end -}}
{{- with .Values.redis.url }}{{ $_ := set $settings "redis" . }}{{ end -}}
{{- with .Values.redis.signingKey -}}
{{- if .existingSecret -}}
{{- $_ := set $settings "redis-signing-key-file" (printf "/etc/headway/redis-signing-key/%s" .key) -}}
{{- end -}}
{{- end -}}
{{- with include "headway.bundle" . }}{{ $_ := set $settings "bundle" . }}{{ end -}}
{{- if .Values.tls.enabled -}}
{{- $_ := set $settings "tls-cert" "/etc/headway/tls/tls.crt" -}}
{{- $_ := set $settings "tls-key" "/etc/headway/tls/tls.key" -}}
{{- if .Values.tls.clientAuth -}}
{{- $_ := set $settings "tls-client-ca" (include "headway.tls.clientCA" .) -}}
{{- end -}}
{{- end -}}
{{- with include "headway.http.tls" . }}{{ $_ := set $settings "http-tls" . }}{{ end -}}
{{- with .Values.http -}}
{{- if .token.existingSecret -}}
{{- $_ := set $settings "http-token-file" (printf "/etc/headway/http-token/%s" .token.key) -}}
{{- end -}}
{{- with .allowedHosts -}}
{{- $_ := set $settings "http-allowed-hosts" (concat . (include "headway.http.hosts" $ | fromJsonArray) | uniq) -}}
{{- end -}}
{{- if int .probePort -}}
{{- $_ := set $settings "probe-address" (printf "%s:%d" $.Values.listenAddress (int .probePort)) -}}
{{- end -}}
{{- end -}}
{{- if .Values.discovery.enabled -}}
{{- $_ := set $settings "discover-namespaces" .Values.discovery.namespaces -}}
{{- end -}}
{{- toYaml $settings -}}
{{- end -}}

{{/* Where the scaler reads bundles; empty for the one that ships with it. */}}
{{- define "headway.bundle" -}}
{{- if include "headway.bundle.claim" . -}}
{{- printf "/bundle/%s" .Values.bundle.path | trimSuffix "/" -}}
{{- else -}}
{{- .Values.bundle.url -}}
{{- end -}}
{{- end -}}

{{/* The claim with bundles; empty where there is none. */}}
{{- define "headway.bundle.claim" -}}
{{- if .Values.bundle.claim.create -}}
{{- printf "%s-bundle" (include "headway.fullname" .) -}}
{{- else -}}
{{- .Values.bundle.existingClaim -}}
{{- end -}}
{{- end -}}
