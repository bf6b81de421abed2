{{/* What the templates ask about the pool and the gateway, decided in one place each. */}}

{{/* API group of the InferencePool. */}}
{{- define "epp.poolGroup" -}}
{{ splitList "/" .Values.inferencePool.apiVersion | first }}
{{- end -}}

{{- define "epp.isOldPool" -}}
{{- if eq .Values.inferencePool.apiVersion "inference.networking.x-k8s.io/v1alpha2" }}true{{ end -}}
{{- end -}}

{{/*
Ports of the model servers as a JSON list. targetPorts holds {number: 8000} or plain numbers; where it is empty,
targetPortNumber counts. A pool of v1alpha2 has one port only: targetPortNumber, where that is given.
*/}}
{{- define "epp.targetPorts" -}}
{{- $pool := .Values.inferencePool -}}
{{- $ports := list -}}
{{- range $pool.targetPorts -}}
  {{- if kindIs "map" . }}{{ $ports = append $ports (int .number) }}{{ else }}{{ $ports = append $ports (int .) }}{{ end -}}
{{- end -}}
{{- if and $pool.targetPortNumber (or (not $ports) (include "epp.isOldPool" .)) -}}
  {{- $ports = list (int $pool.targetPortNumber) -}}
{{- end -}}
{{- $ports | default (list 8000) | toJson -}}
{{- end -}}

{{- define "epp.firstTargetPort" -}}
{{ include "epp.targetPorts" . | fromJsonArray | first }}
{{- end -}}

{{- define "epp.isGke" -}}
{{- if eq .Values.provider.name "gke" }}true{{ end -}}
{{- end -}}

{{- define "epp.isIstio" -}}
{{- if eq .Values.provider.name "istio" }}true{{ end -}}
{{- end -}}

{{/*
Who collects the picker's metrics:
  podmonitoring         GKE: a PodMonitoring with a reader of its own (monitoring.gke or monitoring.prometheus)
  clusterpodmonitoring  GKE where nothing is said of monitoring: with the Secret that the user has made, as in v1.0
  servicemonitor        elsewhere: a Prometheus operator
  nothing               nobody that this chart knows of
*/}}
{{- define "epp.collector" -}}
{{- $gke := .Values.inferenceExtension.monitoring.gke | default dict -}}
{{- $prometheus := .Values.inferenceExtension.monitoring.prometheus -}}
{{- if not (include "epp.isGke" .) -}}
  {{- if $prometheus.enabled }}servicemonitor{{ else }}nothing{{ end -}}
{{- else if or $gke.enabled $prometheus.enabled -}}
  podmonitoring
{{- else if or (hasKey $gke "enabled") (hasKey $prometheus "enabled") (not .Values.gke.monitoringSecret.name) -}}
  nothing
{{- else -}}
  clusterpodmonitoring
{{- end -}}
{{- end -}}

{{/* Whether /metrics asks for a token. */}}
{{- define "epp.isMetricsGuarded" -}}
{{- if ne (dig "metrics-endpoint-auth" "true" (include "epp.flags" . | fromJson)) "false" }}true{{ end -}}
{{- end -}}

{{/* Whether this chart makes a reader of /metrics: a ServiceAccount, its token and the right to read that page. */}}
{{- define "epp.hasReader" -}}
{{- if and (include "epp.isMetricsGuarded" .) (has (include "epp.collector" .) (list "podmonitoring" "servicemonitor")) -}}
  true
{{- end -}}
{{- end -}}

{{/* Secret with the token of that reader. */}}
{{- define "epp.readerSecret" -}}
{{- $name := printf "%s-metrics-reader-secret" .Release.Name -}}
{{- $monitoring := .Values.inferenceExtension.monitoring -}}
{{- $given := $monitoring.prometheus.auth.secretName | default (default dict $monitoring.secret).name -}}
{{- if include "epp.isGke" . }}{{ $name }}{{ else }}{{ $given | default $name }}{{ end -}}
{{- end -}}

{{/* provider.istio.destinationRule over the place at the top where older charts have it, as JSON. */}}
{{- define "epp.givenDestinationRule" -}}
{{- $top := (default dict .Values.istio).destinationRule | default dict -}}
{{- $below := (default dict .Values.provider.istio).destinationRule | default dict -}}
{{- $older := deepCopy ($top.trafficPolicy | default dict) -}}
{{- $newer := deepCopy ($below.trafficPolicy | default dict) -}}
{{- dict "host" ($below.host | default $top.host) "trafficPolicy" (mergeOverwrite $older $newer) | toJson -}}
{{- end -}}

{{/* That, laid over what the picker needs. */}}
{{- define "epp.destinationRule" -}}
{{- $given := include "epp.givenDestinationRule" . | fromJson -}}
{{- $tls := dict "mode" "SIMPLE" "insecureSkipVerify" true -}}
{{- if eq (dig "secure-serving" "true" (include "epp.flags" . | fromJson)) "false" -}}
  {{- $tls = dict "mode" "DISABLE" -}}
{{- end -}}
host: {{ $given.host | default (printf "%s.%s.svc.cluster.local" (include "epp.serviceName" .) .Release.Namespace) }}
trafficPolicy:
  {{- mergeOverwrite (dict "tls" $tls) $given.trafficPolicy | toYaml | nindent 2 }}
{{- end -}}

{{/* Whether the metrics port speaks TLS. */}}
{{- define "epp.isMetricsTls" -}}
{{- with dig "metrics-cert-dir" "" (include "epp.flags" . | fromJson) }}true{{ end -}}
{{- end -}}

{{/* How Google's collector asks for the page. */}}
{{- define "epp.scrapeGke" -}}
path: /metrics
interval: {{ .Values.inferenceExtension.monitoring.interval }}
{{- if include "epp.isMetricsTls" . }}
scheme: https
tls:
  insecureSkipVerify: true
{{- else }}
scheme: http
{{- end }}
{{- end -}}
