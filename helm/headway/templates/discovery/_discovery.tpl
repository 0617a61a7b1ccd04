{{/* The only permission of the scaler. */}}
{{- define "headway.discovery.rules" -}}
- apiGroups: [keda.sh]
  resources: [scaledobjects]
  verbs: [get, list, watch]
{{- end -}}

{{- define "headway.discovery.subjects" -}}
- kind: ServiceAccount
  name: {{ include "headway.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}

{{/* Name of the objects that are not in a namespace: two releases must not share it. */}}
{{- define "headway.discovery.clusterName" -}}
{{- printf "%s-%s-discovery" .Release.Namespace (include "headway.fullname" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* "true" where every namespace is watched. */}}
{{- define "headway.discovery.everywhere" -}}
{{- if and .Values.discovery.enabled (has "*" .Values.discovery.namespaces) }}true{{ end -}}
{{- end -}}
