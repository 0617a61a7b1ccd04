{{/* Name of the application, as in the label app.kubernetes.io/name. */}}
{{- define "headway.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/*
Name of the release's objects. 43 characters at most: with "-training", a CronJob may have 52. Releases may have dots in
their names, Services may not.
*/}}
{{- define "headway.fullname" -}}
{{- $name := include "headway.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 43 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | replace "." "-" | trunc 43 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | replace "." "-" | trunc 43 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "headway.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "headway.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/* The labels that selectors use: call with (dict "root" $ "component" "scaler"). They never change in an upgrade. */}}
{{- define "headway.selectorLabels" -}}
app.kubernetes.io/name: {{ include "headway.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* The labels of an object: (dict "root" $ "component" … ["labels" …]). Those that selectors use cannot be replaced. */}}
{{- define "headway.labels" -}}
{{- $standard := dict
  "app.kubernetes.io/version" .root.Chart.AppVersion
  "app.kubernetes.io/part-of" "headway"
  "app.kubernetes.io/managed-by" .root.Release.Service
  "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
-}}
{{- merge (include "headway.selectorLabels" . | fromYaml) (.labels | default dict) .root.Values.commonLabels $standard | toYaml -}}
{{- end -}}

{{/*
An object's metadata: (dict "root" $ "component" … ["suffix" …] ["labels" …] ["annotations" …]), and either "name", or
"suffix" for the release's name with -SUFFIX. "namespace" is the release's where it is empty; "cluster" true: none.
*/}}
{{- define "headway.metadata" -}}
name: {{ .name | default (printf "%s-%s" (include "headway.fullname" .root) (.suffix | default "") | trimSuffix "-") | toYaml }}
{{- if not .cluster }}
namespace: {{ .namespace | default .root.Release.Namespace | toYaml }}
{{- end }}
labels:
  {{- include "headway.labels" . | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Reference of an image: (dict "image" .Values.image "tag" .Chart.AppVersion). */}}
{{- define "headway.image" -}}
{{- .image.repository -}}:{{- .image.tag | default .tag -}}
{{- with .image.digest }}@{{ . }}{{ end -}}
{{- end -}}

{{/* The spec of a PersistentVolumeClaim from values with accessModes, storageClass and size. */}}
{{- define "headway.claimSpec" -}}
accessModes:
  {{- toYaml .accessModes | nindent 2 }}
{{- with .storageClass }}
storageClassName: {{ . | toYaml }}
{{- end }}
resources:
  requests:
    storage: {{ .size }}
{{- end -}}

{{/* Where a pod runs, from values with priorityClassName, runtimeClassName, nodeSelector, affinity and tolerations. */}}
{{- define "headway.scheduling" -}}
{{- $found := dict -}}
{{- range $key := list "priorityClassName" "runtimeClassName" "nodeSelector" "affinity" "tolerations" -}}
{{- with get $ $key }}{{ $_ := set $found $key . }}{{ end -}}
{{- end -}}
{{- with $found }}{{ toYaml . }}{{ end -}}
{{- end -}}
