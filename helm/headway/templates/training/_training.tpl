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
{{- if include "headway.training.retrains" . -}}
{{- with get .Values.settings "installation" }}{{ $_ := set $settings "installation" . }}{{ end -}}
{{- with .Values.database.url }}{{ $_ := set $settings "database" . }}{{ end -}}
{{- $_ := set $settings "bundle" (.Values.training.destination | default (include "headway.bundle" .)) -}}
{{- end -}}
{{- toYaml $settings -}}
{{- end -}}

{{/* Not empty where a database has the index of models. */}}
{{- define "headway.training.retrains" -}}
{{- if or .Values.database.existingSecret .Values.database.url -}}true{{- end -}}
{{- end -}}

{{/* What the steps share: (dict "root" $ "name" … "args" […] ["pulls" true] ["publishes" true] ["decides" true]). */}}
{{- define "headway.training.step" -}}
{{- $training := .root.Values.training -}}
- name: {{ .name }}
  image: {{ include "headway.image" (dict "image" $training.image "tag" .root.Chart.AppVersion) | quote }}
  imagePullPolicy: {{ $training.image.pullPolicy }}
  args:
    {{- toYaml .args | nindent 4 }}
  {{- $database := and .decides .root.Values.database.existingSecret }}
  {{- if or $database $training.extraEnv }}
  env:
    {{- if $database }}
    - name: HEADWAY_DATABASE
      valueFrom:
        secretKeyRef:
          name: {{ $database | toYaml }}
          key: {{ .root.Values.database.key | toYaml }}
    {{- end }}
    {{- with $training.extraEnv }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
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
