{{/* Topology spread of one key: (dict "root" $ "key" … "when" …); nothing where `when` is empty. */}}
{{- define "headway.spread" -}}
{{- if .when -}}
- maxSkew: 1
  topologyKey: {{ .key }}
  whenUnsatisfiable: {{ .when }}
  labelSelector:
    matchLabels:
      {{- include "headway.selectorLabels" (dict "root" .root "component" "scaler") | nindent 6 }}
  # during an upgrade, the new replicas are spread without regard to the old ones
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end -}}

{{/* Environment of the scaler: URLs with passwords come from Secrets. */}}
{{- define "headway.env" -}}
{{- with .Values.database.existingSecret }}
- name: HEADWAY_DATABASE
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: {{ $.Values.database.key }}
{{- end }}
{{- with .Values.redis.existingSecret }}
- name: HEADWAY_REDIS
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: {{ $.Values.redis.key }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "headway.volumeMounts" -}}
- name: settings
  mountPath: /etc/headway/settings
  readOnly: true
- name: data
  mountPath: /var/lib/headway
- name: tmp
  mountPath: /tmp
{{- range .Values.credentials }}
- name: credentials-{{ .name }}
  mountPath: /etc/headway/credentials/{{ .name }}
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Secrets are mounted whole, without subPath: only so a renewed one reaches the pod. */}}
{{- define "headway.volumes" -}}
- name: settings
  configMap:
    name: {{ include "headway.fullname" . }}
- name: data
  emptyDir:
    sizeLimit: 1Gi
- name: tmp
  emptyDir:
    sizeLimit: 1Gi
{{- range .Values.credentials }}
- name: credentials-{{ .name }}
  secret:
    secretName: {{ .secretName }}
    defaultMode: 0440
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
