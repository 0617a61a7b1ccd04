{{/*
All templates of this file take one dictionary:

  namespace   namespace of the ScaledObject
  name        name of the ScaledObject
  forecast    keys and values of the trigger, as in Headway's docs/trigger.md; query, threshold and serverAddress are
              required
  scalerAddress, type, cpu, authenticationRef
              only for headway-trigger.external

They print a YAML map (annotations) or a YAML list (triggers), not indented.
*/}}

{{/*
headway-trigger.annotations: the annotations by which Headway discovers the ScaledObject. Headway takes query, threshold
and the server from the ScaledObject's own prometheus trigger, and every other key from here.
*/}}
{{- define "headway-trigger.annotations" -}}
{{- $forecast := fromYaml (include "headway-trigger.checked" .) -}}
headway.dev/forecast: "true"
{{- $own := include "headway-trigger.own" . | fromYamlArray -}}
{{- range $key, $value := $forecast }}
{{- if has $key $own }}
headway.dev/{{ kebabcase $key }}: {{ $value | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/*
headway-trigger.prometheus: KEDA's own prometheus trigger. It reads the planned demand, and the demand itself where
there is no plan, so that an outage of Headway costs the forecast and nothing else. Needs headway-trigger.annotations on
the ScaledObject, and Headway with discovery.
*/}}
{{- define "headway-trigger.prometheus" -}}
{{- $forecast := fromYaml (include "headway-trigger.checked" .) -}}
{{- $planned := printf "max(headway_planned_demand{namespace=%q, name=%q})" .namespace .name -}}
{{- $query := printf "%s or %s" $planned $forecast.query -}}
{{- $metadata := merge (dict "query" $query) (include "headway-trigger.reactive" $forecast | fromYaml) -}}
{{- list (dict "type" "prometheus" "metadata" $metadata) | toYaml }}
{{- end }}

{{/*
headway-trigger.external: the trigger by which KEDA asks Headway, and two that scale the workload while Headway cannot
answer. scalerAddress: default dns:///headway.keda.svc.cluster.local:50051. type: external (default), or external-push,
which wakes a workload that rests at zero. cpu: average utilization that the cpu trigger keeps, default 80; false leaves
that trigger out. authenticationRef: a TriggerAuthentication or ClusterTriggerAuthentication with KEDA's TLS files.
*/}}
{{- define "headway-trigger.external" -}}
{{- $forecast := fromYaml (include "headway-trigger.checked" .) -}}
{{- $address := .scalerAddress | default "dns:///headway.keda.svc.cluster.local:50051" -}}
{{- $external := dict "type" (.type | default "external") "metadata" (merge (dict "scalerAddress" $address) $forecast) -}}
{{- if not (has $external.type (list "external" "external-push")) -}}
{{- fail (printf "headway-trigger: type %q is unknown: write external or external-push" $external.type) -}}
{{- end -}}
{{- with .authenticationRef }}{{ $_ := set $external "authenticationRef" . }}{{ end -}}
{{- $triggers := list $external (dict "type" "prometheus" "metadata" (include "headway-trigger.reactive" $forecast | fromYaml)) -}}
{{- $cpu := ternary 80 .cpu (kindIs "invalid" .cpu) -}}
{{- if $cpu -}}
{{- $metadata := dict "value" (include "headway-trigger.text" $cpu) -}}
{{- $triggers = append $triggers (dict "type" "cpu" "metricType" "Utilization" "metadata" $metadata) -}}
{{- end -}}
{{- $triggers | toYaml }}
{{- end }}

{{/* The keys, beside query and threshold, that KEDA's prometheus trigger has too, with the same meaning. */}}
{{- define "headway-trigger.shared" -}}
[serverAddress, activationThreshold, namespace, queryParameters, timeout, ignoreNullValues]
{{- end }}

{{/* Keys that only Headway has. */}}
{{- define "headway-trigger.own" -}}
[leadTime, quantile, mode, policy, model, timezone, historyWindow, queryStep, maxStaleness]
{{- end }}

{{/* The metadata of a prometheus trigger on the demand itself. */}}
{{- define "headway-trigger.reactive" -}}
{{- $own := include "headway-trigger.own" . | fromYamlArray -}}
{{- $metadata := dict -}}
{{- range $key, $value := . -}}
{{- if not (has $key $own) }}{{ $_ := set $metadata $key $value }}{{ end -}}
{{- end -}}
{{- $metadata | toYaml }}
{{- end }}

{{/* The trigger's keys with values as text, checked. */}}
{{- define "headway-trigger.checked" -}}
{{- range $required := list "namespace" "name" -}}
{{- if not (get $ $required) -}}
{{- fail (printf "headway-trigger: %s is missing: pass the %s of the ScaledObject" $required $required) -}}
{{- end -}}
{{- end -}}
{{- $known := concat (list "query" "threshold") (include "headway-trigger.shared" . | fromYamlArray) (include "headway-trigger.own" . | fromYamlArray) -}}
{{- $texts := dict -}}
{{- range $key, $value := .forecast | default dict -}}
{{- if not (has $key $known) -}}
{{- fail (printf "headway-trigger: forecast.%s is unknown: the keys are %s" $key (join ", " $known)) -}}
{{- end -}}
{{- if or (kindIs "map" $value) (kindIs "slice" $value) -}}
{{- fail (printf "headway-trigger: forecast.%s must be a text or a number, not %v" $key (toJson $value)) -}}
{{- end -}}
{{- if not (kindIs "invalid" $value) -}}
{{- $_ := set $texts $key (include "headway-trigger.text" $value | trim) -}}
{{- end -}}
{{- end -}}
{{- if not $texts.query -}}
{{- fail "headway-trigger: forecast.query is missing: write the PromQL that returns the demand, as sum(rate(http_requests_total{app=\"web\"}[2m]))" -}}
{{- end -}}
{{- if contains "headway_planned_demand" $texts.query -}}
{{- fail "headway-trigger: forecast.query reads headway_planned_demand already: write the demand alone, this chart wraps it" -}}
{{- end -}}
{{- if not $texts.serverAddress -}}
{{- fail "headway-trigger: forecast.serverAddress is missing: KEDA needs it; write the address of your Prometheus" -}}
{{- end -}}
{{- if not $texts.threshold -}}
{{- fail "headway-trigger: forecast.threshold is missing: write the demand that one replica carries" -}}
{{- end -}}
{{- toYaml $texts }}
{{- end }}

{{/* A value as text. Helm reads every number as a float, and would write a million as 1e+06. */}}
{{- define "headway-trigger.text" -}}
{{- if and (kindIs "float64" .) (eq . (float64 (int64 .))) }}{{ int64 . }}{{ else }}{{ . }}{{ end -}}
{{- end }}
