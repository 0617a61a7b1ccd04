{{/*
All contradictions in the values at once, one per line: the value, the rule, and what to write instead.
values.schema.json refuses unknown values and wrong types.
*/}}
{{- define "headway.refuseFaults" -}}
{{- $faults := list -}}
{{- range list "name" "ports" "settings" "servers" "credentials" "stores" "persistence" "bundle" "tls" "http" "scrape" "traces" "kedaAuth" "access" "training" "crds" -}}
{{- range include (printf "headway.faults.%s" .) $ | splitList "\n" -}}
{{- with trim . }}{{ $faults = append $faults . }}{{ end -}}
{{- end -}}
{{- end -}}
{{- with $faults -}}
{{- printf "\n\n%d %s in the values of headway:\n  %s\n" (len .) (ternary "fault" "faults" (eq (len .) 1)) (join "\n  " .) | fail -}}
{{- end -}}
{{- end -}}

{{/* Settings that the chart decides → the value to write instead. */}}
{{- define "headway.ownSettings" -}}
grpc-address: service.grpcPort and listenAddress
http-address: listenAddress
tls-cert: tls.existingSecret or tls.certManager
tls-key: tls.existingSecret or tls.certManager
tls-client-ca: tls.clientAuth and tls.clientCA
http-tls: http.tls
http-token-file: http.token.existingSecret
http-allowed-hosts: http.allowedHosts
probe-address: http.probePort and listenAddress
data-dir: persistence
redis: redis.existingSecret, redis.url or valkey.enabled
redis-signing-key-file: redis.signingKey.existingSecret
database: database.existingSecret or database.url
bundle: bundle.url or bundle.existingClaim
discover-namespaces: discovery.enabled and discovery.namespaces
config: settings
{{- end -}}

{{- define "headway.faults.settings" -}}
{{- range $key, $instead := include "headway.ownSettings" . | fromYaml }}
{{- if hasKey $.Values.settings $key }}
settings.{{ $key }}: the chart sets it; write {{ $instead }}
{{- end }}
{{- range $.Values.extraEnv }}
{{- if eq .name (printf "HEADWAY_%s" ($key | upper | replace "-" "_")) }}
extraEnv {{ .name }}: the chart sets it; write {{ $instead }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The program would end at its start, with the same reason: scaler/trigger/server_address.py. */}}
{{- define "headway.faults.servers" -}}
{{- $pattern := "^(\\*|(https?|\\*)://(\\[[0-9A-Fa-f:.]+\\]|[A-Za-z0-9_.*?-]+)(:([0-9]+|\\*))?(/[A-Za-z0-9._~*?/-]*)?)$" -}}
{{- $network := "://[0-9]+\\.[0-9*?]+\\.[0-9*?]+\\.[0-9*?]+([:/]|$)" -}}
{{- $oneName := "://[^./:]+\\.?([:/]|$)" -}}
{{- $anyNamespace := "(?i)://([^./:]+\\.)*[^./:]*[*?][^./:]*(\\.(svc|pod|[*?svcpod]*[*?][*?svcpod]*)(\\.[^/:]*)?)?\\.?([:/]|$)" -}}
{{- range index .Values.settings "allow-server-address" | default list | join "," | splitList "," }}
{{- $one := trim . }}
{{- if and $one (not (regexMatch $pattern ($one | replace "{namespace}" "n"))) }}
settings.allow-server-address: {{ $one }} is no pattern; write SCHEME://HOST[:PORT][/PATH], with * and ? within a segment and {namespace} for the trigger's own
{{- else if and (regexMatch $anyNamespace $one) (not (regexMatch $network $one)) (not (regexMatch $oneName $one)) }}
settings.allow-server-address: {{ $one }} lets a * stand for any namespace, which a tenant chooses; write {namespace} for the trigger's own, or one pattern per namespace
{{- end }}
{{- end }}
{{- end -}}

{{- define "headway.faults.name" -}}
{{- if not (regexMatch "^[a-z]" (include "headway.fullname" .)) }}
fullnameOverride: the name {{ include "headway.fullname" . }} cannot be that of a Service, which begins with a letter; write fullnameOverride: h{{ include "headway.fullname" . | trunc 42 | trimSuffix "-" }}
{{- end }}
{{- end -}}

{{- define "headway.faults.ports" -}}
{{- if eq (int .Values.service.grpcPort) 8080 }}
service.grpcPort: 8080 is the container's port for HTTP; write another, as 50051
{{- end }}
{{- end -}}

{{- define "headway.faults.credentials" -}}
{{- $names := list }}
{{- range .Values.credentials }}
{{- if has .name $names }}
credentials: two entries are named {{ .name }}; give each its own name
{{- end }}
{{- $names = append $names .name }}
{{- end }}
{{- range regexFindAll "/etc/headway/credentials/[^/\"\\s]+" (toJson .Values.settings) -1 | uniq }}
{{- if not (has (base .) $names) }}
settings: {{ . }} is used, but no entry of credentials is named {{ base . }}; add {name: {{ base . }}, secretName: …}
{{- end }}
{{- end }}
{{- end -}}

{{- define "headway.faults.stores" -}}
{{- $secret := "://[^/@]*:[^/@]+@" -}}
{{- with .Values.redis }}
{{- if and .existingSecret .url }}
redis.url: not together with redis.existingSecret; remove one
{{- end }}
{{- if regexMatch $secret .url }}
redis.url: contains a password, which everybody who may read the Deployment would see; put the URL into a Secret and write redis.existingSecret
{{- end }}
{{- if and $.Values.valkey.enabled (or .existingSecret .url) }}
valkey.enabled: not together with redis.existingSecret or redis.url; a release has one shared cache, so remove one
{{- end }}
{{- end }}
{{- if and .Values.redis.signingKey.existingSecret (not (or .Values.redis.existingSecret .Values.redis.url .Values.valkey.enabled)) }}
redis.signingKey.existingSecret: signs what replicas share, and there is no Redis; write redis.existingSecret, redis.url or valkey.enabled, or remove it
{{- end }}
{{- with .Values.database }}
{{- if and .existingSecret .url }}
database.url: not together with database.existingSecret; remove one
{{- end }}
{{- if regexMatch $secret .url }}
database.url: contains a password, which everybody who may read the Deployment would see; put the URL into a Secret and write database.existingSecret
{{- end }}
{{- end }}
{{- with .Values.valkey }}
{{- if and .enabled (not .existingSecret) (not .password) }}
valkey: needs a password; write valkey.existingSecret (with the key {{ .key }}) or valkey.password
{{- end }}
{{- if and .existingSecret .password }}
valkey.password: not together with valkey.existingSecret; remove one
{{- end }}
{{- end }}
{{- end -}}

{{- define "headway.faults.persistence" -}}
{{- with .Values.persistence }}
{{- if and .enabled (gt (int $.Values.replicaCount) 1) }}
persistence.enabled: a volume serves one replica; write replicaCount: 1, or persistence.enabled: false and database.existingSecret
{{- end }}
{{- if and .enabled (or $.Values.database.existingSecret $.Values.database.url) }}
persistence.enabled: with a database there is nothing to keep on a volume; write persistence.enabled: false, or remove database
{{- end }}
{{- end }}
{{- end -}}

{{- define "headway.faults.bundle" -}}
{{- with .Values.bundle }}
{{- if and .url (or .existingClaim .claim.create) }}
bundle.url: not together with bundle.existingClaim or bundle.claim.create; remove one
{{- end }}
{{- if and .existingClaim .claim.create }}
bundle.claim.create: not together with bundle.existingClaim; remove one
{{- end }}
{{- if and .path (not .existingClaim) (not .claim.create) }}
bundle.path: is a folder in a claim; write bundle.existingClaim, or bundle.url for an object store
{{- end }}
{{- end }}
{{- end -}}

{{- define "headway.faults.tls" -}}
{{- with .Values.tls }}
{{- if and .enabled (not .existingSecret) (not .certManager.enabled) }}
tls.enabled: needs a certificate; write tls.existingSecret or tls.certManager.enabled: true
{{- end }}
{{- if and .existingSecret .certManager.enabled }}
tls.existingSecret: not together with tls.certManager.enabled; remove one
{{- end }}
{{- if and (not .enabled) (or .existingSecret .certManager.enabled .clientCA.existingSecret) }}
tls.enabled: is false, but a certificate is set; write tls.enabled: true, or remove tls.existingSecret, tls.certManager and tls.clientCA
{{- end }}
{{- end }}
{{- end -}}

{{- define "headway.faults.http" -}}
{{- $tls := include "headway.http.tls" . -}}
{{- with .Values.http }}
{{- if and $tls (not $.Values.tls.enabled) }}
http.tls: {{ $tls }} needs a certificate; write tls.enabled: true, or http.tls: "off"
{{- end }}
{{- if and (eq $tls "mtls") (not $.Values.tls.clientAuth) }}
http.tls: mtls needs the authority of the clients; write tls.clientAuth: true, or http.tls: tls
{{- end }}
{{- if has (int .probePort) (list 8080 (int $.Values.service.grpcPort)) }}
http.probePort: {{ int .probePort }} is another port of the container; write another, as 8081
{{- end }}
{{- if and (int .probePort) (eq (int .probePort) (int $.Values.service.httpPort)) }}
http.probePort: {{ int .probePort }} is service.httpPort, and both are ports of one Service; write another, as 8081
{{- end }}
{{- if and (eq (index $.Values.settings "http-writes" | default "off") "token") (not .token.existingSecret) }}
settings.http-writes: token needs the token that lets clients write; write http.token.existingSecret, or http-writes: "off"
{{- end }}
{{- if and $.Values.training.enabled (eq $tls "mtls") }}
training.enabled: its job reads the triggers from the HTTP port, and has no client certificate; write http.tls: tls with http.token.existingSecret, or training.enabled: false
{{- end }}
{{- end }}
{{- end -}}

{{/* Who scrapes must be able to. */}}
{{- define "headway.faults.scrape" -}}
{{- $tls := include "headway.http.tls" . -}}
{{- $plain := or (not $tls) (int .Values.http.probePort) -}}
{{- with .Values.serviceMonitor }}
{{- if and .tlsConfig $plain }}
serviceMonitor.tlsConfig: Prometheus scrapes without TLS here; remove it, or write http.tls: tls and http.probePort: 0
{{- end }}
{{- if and .enabled (not $plain) (not .tlsConfig) }}
{{- if eq $tls "mtls" }}
serviceMonitor.tlsConfig: Prometheus needs a client certificate where http.tls is mtls; write ca, cert and keySecret of its Secret, or http.probePort: 8081
{{- else if not (has .namespace (list "" $.Release.Namespace)) }}
serviceMonitor.tlsConfig: the Secret with the authority is not in the namespace {{ .namespace }}; write a ca of that namespace and serverName, or http.probePort: 8081
{{- end }}
{{- end }}
{{- end }}
{{- if and .Values.scrapeAnnotations.enabled (eq $tls "mtls") (not $plain) }}
scrapeAnnotations.enabled: annotations name no client certificate, which http.tls: mtls needs; write http.probePort: 8081
{{- end }}
{{- end -}}

{{/* The network policy would drop the spans, and only the log would say so. */}}
{{- define "headway.faults.traces" -}}
{{- $endpoint := index .Values.settings "traces-endpoint" | default "" | lower -}}
{{- $ports := .Values.networkPolicy.egress.tracesPorts -}}
{{- if and .Values.networkPolicy.enabled .Values.networkPolicy.egress.enabled }}
{{- range .Values.extraEnv }}
{{- if and (eq .name "HEADWAY_TRACES_ENDPOINT") (not $ports) }}
extraEnv HEADWAY_TRACES_ENDPOINT: the network policy would block it, because only settings show where the collector is; write settings.traces-endpoint, or networkPolicy.egress.tracesPorts
{{- end }}
{{- end }}
{{- if and $endpoint $ports (not (include "headway.namespaceOf" (dict "root" $ "url" $endpoint))) }}
{{- $port := include "headway.portOf" $endpoint }}
{{- if not (has $port (join " " $ports | splitList " ")) }}
networkPolicy.egress.tracesPorts: lacks {{ $port }}, the port of settings.traces-endpoint; add it, or remove the list
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "headway.faults.kedaAuth" -}}
{{- $own := and .Values.tls.certManager.enabled (not .Values.tls.certManager.issuerRef.name) -}}
{{- $cluster := eq .Values.tls.certManager.issuerRef.kind "ClusterIssuer" -}}
{{- with .Values.kedaAuth }}
{{- if and .enabled $.Values.tls.enabled }}
{{- if and (not .existingSecret) (not $.Values.tls.certManager.enabled) }}
kedaAuth.existingSecret: name the Secret with ca.crt, tls.crt and tls.key of KEDA's client, or write kedaAuth.enabled: false
{{- end }}
{{- if and (eq .kind "TriggerAuthentication") (not .namespaces) }}
kedaAuth.namespaces: a TriggerAuthentication serves one namespace; list those of your ScaledObjects, or write kedaAuth.kind: ClusterTriggerAuthentication
{{- end }}
{{- if and (eq .kind "ClusterTriggerAuthentication") .namespaces }}
kedaAuth.namespaces: a ClusterTriggerAuthentication serves all namespaces; remove them, or write kedaAuth.kind: TriggerAuthentication
{{- end }}
{{- if and (not .existingSecret) $.Values.tls.certManager.enabled (or $own (not $cluster)) }}
{{- range include "headway.kedaAuth.namespaces" $ | fromJsonArray }}
{{- if ne . $.Release.Namespace }}
tls.certManager.issuerRef: no issuer of the namespace {{ $.Release.Namespace }} can issue KEDA's certificate in {{ . }}; name a ClusterIssuer, or write kedaAuth.existingSecret
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "headway.faults.access" -}}
{{- if .Values.discovery.enabled }}
{{- if not .Values.discovery.namespaces }}
discovery.namespaces: is empty; list the namespaces to watch, or write ["*"] for all
{{- end }}
{{- if and (has "*" .Values.discovery.namespaces) (gt (len .Values.discovery.namespaces) 1) }}
discovery.namespaces: "*" is all of them; write it alone, or remove it
{{- end }}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) }}
discovery.enabled: would give the permission to the namespace's default ServiceAccount; write serviceAccount.create: true or serviceAccount.name
{{- end }}
{{- end }}
{{- end -}}

{{- define "headway.faults.training" -}}
{{- $claim := include "headway.bundle.claim" . -}}
{{- with .Values.training }}
{{- if .enabled }}
{{- if not (or .destination (include "headway.bundle" $)) }}
training.destination: is empty; write the URL of an object store, or bundle.existingClaim or bundle.claim.create: true
{{- end }}
{{- if and .destination $claim }}
training.destination: not together with a claim in bundle, which the scaler would read instead; remove one
{{- end }}
{{- if regexMatch "^https?://" (.destination | default (include "headway.bundle" $)) }}
training.destination: nothing can be written to an http address; write the object store's own URL, as s3://models/headway
{{- end }}
{{- if not $.Values.settings.prometheus }}
training.enabled: reads demand from settings.prometheus, which is empty; write its address
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Objects that need CRDs → the API that defines them. `helm template` knows only those of --api-versions. */}}
{{- define "headway.faults.crds" -}}
{{- range list
  (list "serviceMonitor.enabled" .Values.serviceMonitor.enabled "monitoring.coreos.com/v1" "the Prometheus operator")
  (list "prometheusRule.enabled" .Values.prometheusRule.enabled "monitoring.coreos.com/v1" "the Prometheus operator")
  (list "tls.certManager.enabled" .Values.tls.certManager.enabled "cert-manager.io/v1" "cert-manager")
  (list "kedaAuth.enabled" (and .Values.kedaAuth.enabled .Values.tls.enabled) "keda.sh/v1alpha1" "KEDA")
}}
{{- if and $.Values.requireCRDs (index . 1) (not ($.Capabilities.APIVersions.Has (index . 2))) }}
{{ index . 0 }}: the cluster has no {{ index . 2 }}; install {{ index . 3 }} first, or write {{ index . 0 }}: false (with helm template, add --api-versions {{ index . 2 }}, or write requireCRDs: false)
{{- end }}
{{- end }}
{{- end -}}
