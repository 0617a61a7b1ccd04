{{- define "headway.training.serviceAccountName" -}}
{{- with .Values.training.serviceAccount -}}
{{- if .create -}}
{{- .name | default (printf "%s-training" (include "headway.fullname" $)) -}}
{{- else -}}
{{- .name | default "default" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* How the job reaches the servers: the part of the settings that is about them. */}}
{{- define "headway.training.settings" -}}
{{- $settings := dict -}}
{{- range $key, $value := .Values.settings -}}
{{- if or (hasPrefix "prometheus" $key) (has $key (list "servers" "allow-server-address")) -}}
{{- $_ := set $settings $key $value -}}
{{- end -}}
{{- end -}}
{{- toYaml $settings -}}
{{- end -}}

{{/* What the steps share: (dict "root" $ "name" … "args" […] ["pulls" true] ["publishes" true]). */}}
{{- define "headway.training.step" -}}
{{- $training := .root.Values.training -}}
- name: {{ .name }}
  image: {{ include "headway.image" (dict "image" $training.image "tag" .root.Chart.AppVersion) | quote }}
  imagePullPolicy: {{ $training.image.pullPolicy }}
  args:
    {{- toYaml .args | nindent 4 }}
  {{- with $training.extraEnv }}
  env:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $training.envFromSecret }}
  envFrom:
    - secretRef:
        name: {{ . | toYaml }}
  {{- end }}
  {{- with $training.resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .root.Values.securityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  volumeMounts:
    - name: settings
      mountPath: /etc/headway/settings
      readOnly: true
    - name: work
      mountPath: /scratch
    - name: tmp
      mountPath: /tmp
    {{- with include "headway.credentialMounts" .root | trim }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- if and .pulls .root.Values.http.token.existingSecret }}
    - name: http-token
      mountPath: /etc/headway/http-token
      readOnly: true
    {{- end }}
    {{- if and .pulls (include "headway.http.tls" .root) }}
    - name: scaler-ca
      mountPath: /etc/headway/scaler-ca
      readOnly: true
    {{- end }}
    {{- if and .publishes (include "headway.bundle.claim" .root) }}
    - name: bundle
      mountPath: /bundle
    {{- end }}
{{- end -}}
