{{/* The password of the bundled Valkey as an environment variable. */}}
{{- define "headway.valkey.passwordEnv" -}}
- name: VALKEY_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ .Values.valkey.existingSecret | default (printf "%s-valkey" (include "headway.fullname" .)) | toYaml }}
      key: {{ .Values.valkey.key | toYaml }}
{{- end -}}
