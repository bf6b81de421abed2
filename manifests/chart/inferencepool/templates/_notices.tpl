{{/* Values that were given and change nothing, or less than one may think: a line each. */}}
{{- define "epp.notices" -}}
{{- $epp := .Values.inferenceExtension -}}
{{- $pool := .Values.inferencePool -}}
{{- $isOwnFile := hasKey ($epp.pluginsCustomConfig | default dict) $epp.pluginsConfigFile -}}
{{- if contains "gateway-api-inference-extension/" (include "epp.image" .) }}
- inferenceExtension.image names the reference's picker, whose command line is another one, so that the pod will not
  start: name an image of this picker.
{{- end }}
{{- if $epp.tracing.enabled }}
- inferenceExtension.tracing: this version of the picker exports no traces; the settings reach it and wait there.
{{- end }}
{{- if and (default dict $epp.monitoring.gke).enabled (not (include "epp.isGke" .)) }}
- inferenceExtension.monitoring.gke.enabled has no effect: provider.name is {{ .Values.provider.name }}, not gke.
{{- end }}
{{- if and .Values.provider.gke.autopilot (ne (include "epp.collector" .) "podmonitoring") }}
- provider.gke.autopilot has no effect: it names the collector of a PodMonitoring, and none is made.
{{- end }}
{{- $rule := include "epp.givenDestinationRule" . | fromJson }}
{{- if and (or $rule.host $rule.trafficPolicy) (not (include "epp.isIstio" .)) }}
- istio.destinationRule has no effect: provider.name is {{ .Values.provider.name }}, not istio.
{{- end }}
{{- if and $pool.targetPortNumber (not (has (float64 $pool.targetPortNumber) (include "epp.targetPorts" . | fromJsonArray))) }}
- inferencePool.targetPortNumber has no effect: inferencePool.targetPorts names the ports.
{{- end }}
{{- if and $isOwnFile (ne $pool.modelServerType "vllm") }}
- inferencePool.modelServerType has no effect on {{ $epp.pluginsConfigFile }}, which is yours: it needs a
  core-metrics-extractor with defaultEngine {{ $pool.modelServerType }}, or the pods the label llm-d.ai/engine-type.
{{- end }}
{{- if and $isOwnFile (include "epp.parser" .) }}
- {{ $epp.pluginsConfigFile }} is yours: it needs {{ include "epp.parser" . }} among its requestHandler.parsers.
{{- end }}
{{- if and (eq $pool.modelServerProtocol "grpc") (not (hasKey (include "epp.flags" . | fromJson) "model-server-metrics-port")) }}
- A gRPC port shows no metrics: name their port by inferenceExtension.flags.model-server-metrics-port.
{{- end }}
{{- if and (eq $pool.modelServerProtocol "grpc") (include "epp.isOldPool" .) }}
- inferencePool.modelServerProtocol has no effect on the pool: v1alpha2 has no field for it.
{{- end }}
{{- if eq (include "epp.collector" .) "clusterpodmonitoring" }}
- Metrics are collected with the token in Secret {{ .Values.gke.monitoringSecret.namespace }}/{{ .Values.gke.monitoringSecret.name }}, which has
  to exist. inferenceExtension.monitoring.gke.enabled=true makes a reader for this release instead, =false collects none.
{{- end }}
{{- if ne (include "epp.serviceName" .) (include "epp.name" .) }}
- The Service is called {{ include "epp.serviceName" . }}: Services may not have the name {{ include "epp.name" . }}.
{{- end }}
{{- end -}}
