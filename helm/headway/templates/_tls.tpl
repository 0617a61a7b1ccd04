{{/* The Secret with the server's certificate. */}}
{{- define "headway.tls.secret" -}}
{{- .Values.tls.existingSecret | default (printf "%s-tls" (include "headway.fullname" .)) -}}
{{- end -}}

{{/* The file with the authorities whose clients may call. */}}
{{- define "headway.tls.clientCA" -}}
{{- if .Values.tls.clientCA.existingSecret -}}
/etc/headway/tls-client-ca/{{ .Values.tls.clientCA.key }}
{{- else -}}
/etc/headway/tls/{{ .Values.tls.clientCA.key }}
{{- end -}}
{{- end -}}

{{/* What issues the certificates, as YAML: the issuer of the values, or the chart's own. */}}
{{- define "headway.tls.issuerRef" -}}
{{- $issuer := .Values.tls.certManager.issuerRef -}}
name: {{ $issuer.name | default (printf "%s-ca" (include "headway.fullname" .)) | toYaml }}
kind: {{ ternary $issuer.kind "Issuer" (ne $issuer.name "") }}
group: {{ $issuer.group | toYaml }}
{{- end -}}

{{/* Whether the chart creates its own authority. */}}
{{- define "headway.tls.ownAuthority" -}}
{{- if and .Values.tls.enabled .Values.tls.certManager.enabled (not .Values.tls.certManager.issuerRef.name) }}true{{ end -}}
{{- end -}}

{{/* The Secret with KEDA's certificate. Like the authentication's, its name must differ where two releases share KEDA. */}}
{{- define "headway.kedaAuth.secret" -}}
{{- .Values.kedaAuth.existingSecret | default (printf "%s-keda-client" (.Values.kedaAuth.name | default (include "headway.fullname" .))) -}}
{{- end -}}

{{/* The namespaces in which KEDA reads that Secret, as JSON. */}}
{{- define "headway.kedaAuth.namespaces" -}}
{{- if eq .Values.kedaAuth.kind "ClusterTriggerAuthentication" -}}
{{- list .Values.kedaNamespace | toJson -}}
{{- else -}}
{{- .Values.kedaAuth.namespaces | toJson -}}
{{- end -}}
{{- end -}}
