{{/*
Flags of the picker: name without dashes to text, as JSON. inferenceExtension.flags is a map {v: 1}, or, as in v1.0, a
list [{name: v, value: 1}]; both win over what the chart would say.
*/}}
{{- define "epp.flags" -}}
{{- $given := include "epp.givenFlags" . | fromJson -}}
{{- merge $given (include "epp.ownFlags" (dict "given" $given "root" .) | fromJson) | toJson -}}
{{- end -}}

{{/* A flag without a value is as if it were not there: {v: null} takes one back that another values file has. */}}
{{- define "epp.givenFlags" -}}
{{- $given := dict -}}
{{- $flags := .Values.inferenceExtension.flags -}}
{{- if kindIs "slice" $flags -}}
  {{- range $flags }}{{ $_ := set $given .name (include "epp.text" .value) }}{{ end -}}
{{- else -}}
  {{- range $name, $value := $flags -}}
    {{- if not (kindIs "invalid" $value) }}{{ $_ := set $given $name (include "epp.text" $value) }}{{ end -}}
  {{- end -}}
{{- end -}}
{{- $given | toJson -}}
{{- end -}}

{{/* Whole numbers of a values file arrive as floats: 33554432 would be written 3.3554432e+07. */}}
{{- define "epp.text" -}}
{{- if and (kindIs "float64" .) (eq . (floor .)) }}{{ int64 . }}{{ else }}{{ toString . }}{{ end -}}
{{- end -}}

{{- define "epp.ownFlags" -}}
{{- $given := .given -}}
{{- with .root -}}
{{- $epp := .Values.inferenceExtension -}}
{{- $flags := dict
  "pool-name" .Release.Name
  "pool-namespace" .Release.Namespace
  "pool-group" (include "epp.poolGroup" .)
  "grpc-port" (toString $epp.extProcPort)
  "drain-timeout" (printf "%ds" (int $epp.drainTimeoutSeconds))
-}}
{{- if not (or (hasKey $given "config-file") (hasKey $given "config-text") (hasKey $given "policy")) -}}
  {{- $_ := set $flags "config-file" (printf "/config/%s" $epp.pluginsConfigFile) -}}
{{- end -}}
{{- if or $epp.enableLeaderElection (gt (int $epp.replicas) 1) }}{{ $_ := set $flags "ha-enable-leader-election" "true" }}{{ end -}}
{{- if not $epp.monitoring.prometheus.auth.enabled }}{{ $_ := set $flags "metrics-endpoint-auth" "false" }}{{ end -}}
{{- with $epp.metricsPort }}{{ $_ := set $flags "metrics-port" (toString .) }}{{ end -}}
{{- if $epp.tracing.enabled }}{{ $_ := set $flags "tracing" "true" }}{{ end -}}
{{- merge $flags (include "epp.pageFlags" . | fromJson) | toJson -}}
{{- end -}}
{{- end -}}

{{/* Where the model servers show their metrics, where that is not what the picker expects by itself. */}}
{{- define "epp.pageFlags" -}}
{{- $source := .Values.inferenceExtension.metricsDataSource -}}
{{- $flags := dict -}}
{{- $path := $source.path -}}
{{- if and (not $path) (eq .Values.inferencePool.modelServerType "trtllm-serve") }}{{ $path = "/prometheus/metrics" }}{{ end -}}
{{- if and $path (ne $path "/metrics") }}{{ $_ := set $flags "model-server-metrics-path" $path }}{{ end -}}
{{- if ne $source.scheme "http" }}{{ $_ := set $flags "model-server-metrics-scheme" $source.scheme }}{{ end -}}
{{- if not $source.insecureSkipVerify -}}
  {{- $_ := set $flags "model-server-metrics-https-insecure-skip-verify" "false" -}}
{{- end -}}
{{- $flags | toJson -}}
{{- end -}}

{{- define "epp.isElecting" -}}
{{- if eq (dig "ha-enable-leader-election" "false" (include "epp.flags" . | fromJson)) "true" }}true{{ end -}}
{{- end -}}

{{/* Where the picker listens, as JSON. */}}
{{- define "epp.ports" -}}
{{- $flags := include "epp.flags" . | fromJson -}}
{{- dict
  "grpc" (dig "grpc-port" "9002" $flags | int)
  "health" (dig "grpc-health-port" "9003" $flags | int)
  "metrics" (dig "metrics-port" "9090" $flags | int)
  | toJson
-}}
{{- end -}}
