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
      name: {{ . | toYaml }}
      key: {{ $.Values.database.key | toYaml }}
{{- end }}
{{- with .Values.redis.existingSecret }}
- name: HEADWAY_REDIS
  valueFrom:
    secretKeyRef:
      name: {{ . | toYaml }}
      key: {{ $.Values.redis.key | toYaml }}
{{- end }}
{{- if .Values.valkey.enabled }}
{{ include "headway.valkey.passwordEnv" . }}
# the kubelet puts the password into the URL
- name: HEADWAY_REDIS
  value: redis://:$(VALKEY_PASSWORD)@{{ include "headway.fullname" . }}-valkey:6379/0
{{- end }}
{{- if include "headway.http.tls" . }}
# for `headway why` in the pod
- name: HEADWAY_ADDRESS
  value: https://localhost:8080
{{- end }}
{{- with .Values.http.token }}
{{- if .existingSecret }}
# for `headway why` in the pod
- name: HEADWAY_TOKEN_FILE
  value: /etc/headway/http-token/{{ .key }}
{{- end }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Environment from whole Secrets and ConfigMaps. */}}
{{- define "headway.envFrom" -}}
{{- with .Values.bundle.envFromSecret }}
- secretRef:
    name: {{ . | toYaml }}
{{- end }}
{{- with .Values.extraEnvFrom }}
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
{{- include "headway.credentialMounts" . }}
{{- if .Values.tls.enabled }}
- name: tls
  mountPath: /etc/headway/tls
  readOnly: true
{{- if and .Values.tls.clientAuth .Values.tls.clientCA.existingSecret }}
- name: tls-client-ca
  mountPath: /etc/headway/tls-client-ca
  readOnly: true
{{- end }}
{{- end }}
{{- if .Values.redis.signingKey.existingSecret }}
- name: redis-signing-key
  mountPath: /etc/headway/redis-signing-key
  readOnly: true
{{- end }}
{{- if .Values.http.token.existingSecret }}
- name: http-token
  mountPath: /etc/headway/http-token
  readOnly: true
{{- end }}
{{- if include "headway.bundle.claim" . }}
- name: bundle
  mountPath: /bundle
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
{{- if .Values.persistence.enabled }}
  persistentVolumeClaim:
    claimName: {{ .Values.persistence.existingClaim | default (include "headway.fullname" .) | toYaml }}
{{- else }}
  emptyDir:
    sizeLimit: 1Gi
{{- end }}
- name: tmp
  emptyDir:
    sizeLimit: 1Gi
{{- include "headway.credentialVolumes" . }}
{{- if .Values.tls.enabled }}
- name: tls
  secret:
    secretName: {{ include "headway.tls.secret" . | toYaml }}
    defaultMode: 0440
{{- with .Values.tls.clientCA.existingSecret }}
{{- if $.Values.tls.clientAuth }}
- name: tls-client-ca
  secret:
    secretName: {{ . | toYaml }}
    defaultMode: 0440
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.redis.signingKey.existingSecret }}
- name: redis-signing-key
  secret:
    secretName: {{ . | toYaml }}
    defaultMode: 0440
{{- end }}
{{- with .Values.http.token.existingSecret }}
- name: http-token
  secret:
    secretName: {{ . | toYaml }}
    defaultMode: 0440
{{- end }}
{{- with include "headway.bundle.claim" . }}
- name: bundle
  persistentVolumeClaim:
    claimName: {{ . | toYaml }}
    readOnly: true
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "headway.credentialMounts" -}}
{{- range .Values.credentials }}
- name: credentials-{{ .name }}
  mountPath: /etc/headway/credentials/{{ .name }}
  readOnly: true
{{- end }}
{{- end -}}

{{- define "headway.credentialVolumes" -}}
{{- range .Values.credentials }}
- name: credentials-{{ .name }}
  secret:
    secretName: {{ .secretName | toYaml }}
    defaultMode: 0440
{{- end }}
{{- end -}}
