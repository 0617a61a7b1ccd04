{{/* The settings file: `settings` of the values, and what the chart decides. */}}
{{- define "headway.settings" -}}
{{- $settings := deepCopy .Values.settings -}}
{{- $_ := set $settings "grpc-address" (printf "%s:%d" .Values.listenAddress (int .Values.service.grpcPort)) -}}
{{- $_ := set $settings "http-address" (printf "%s:8080" .Values.listenAddress) -}}
{{- $_ := set $settings "data-dir" "/var/lib/headway" -}}
{{- toYaml $settings -}}
{{- end -}}
