{{/* The only permission of the scaler. */}}
{{- define "headway.discovery.rules" -}}
- apiGroups: [keda.sh]
  resources: [scaledobjects]
  verbs: [get, list, watch]
{{- end -}}

{{- define "headway.discovery.subjects" -}}
- kind: ServiceAccount
  name: {{ include "headway.serviceAccountName" . | toYaml }}
  namespace: {{ .Release.Namespace }}
{{- end -}}

{{/* Name of the objects outside of the release's namespace: two releases must not share it. Only the first dot ends the
namespace. */}}
{{- define "headway.discovery.name" -}}
{{- printf "%s.%s-discovery" .Release.Namespace (include "headway.fullname" .) -}}
{{- end -}}

{{/* "true" where every namespace is watched. */}}
{{- define "headway.discovery.everywhere" -}}
{{- if and .Values.discovery.enabled (has "*" .Values.discovery.namespaces) }}true{{ end -}}
{{- end -}}
