{{/* Seconds of a Go duration such as 1m30s, as a number that may have a fraction. */}}
{{- define "headway.seconds" -}}
{{- $units := dict "ns" 0.000000001 "us" 0.000001 "µs" 0.000001 "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0 -}}
{{- $sum := 0.0 -}}
{{- range regexFindAll "[0-9.]+(ns|us|µs|ms|s|m|h)" . -1 -}}
{{- $unit := regexFind "[a-zµ]+$" . -}}
{{- $sum = addf $sum (mulf (trimSuffix $unit . | float64) (get $units $unit)) -}}
{{- end -}}
{{- $sum -}}
{{- end -}}

{{/* The scaler's drain-grace, plus what follows it: a second's notice, open forecasts, and closing the database. */}}
{{- define "headway.terminationGracePeriodSeconds" -}}
{{- $grace := index .Values.settings "drain-grace" | default "10s" -}}
{{- addf (include "headway.seconds" $grace | float64) 20 | ceil | int -}}
{{- end -}}
