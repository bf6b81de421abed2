{{/* What values.schema.json cannot say. Each message names the value and what to do. */}}
{{- define "epp.checks" -}}
{{- $epp := .Values.inferenceExtension -}}
{{- if not (default dict .Values.inferencePool.modelServers).matchLabels -}}
  {{- fail "inferencePool.modelServers.matchLabels is required: the labels of the model servers' pods, e.g. --set inferencePool.modelServers.matchLabels.app=vllm-llama3-8b-instruct" -}}
{{- end -}}
{{- if (default dict $epp.latencyPredictor).enabled -}}
  {{- fail "inferenceExtension.latencyPredictor.enabled: this chart has no latency predictor servers; leave it out. The default policy (expected-cost) learns the latency of each model server by itself" -}}
{{- end -}}
{{- $files := include "epp.pluginFiles" . | fromJson -}}
{{- if not (hasKey $files $epp.pluginsConfigFile) -}}
  {{- fail (printf "inferenceExtension.pluginsConfigFile: there is no %q; there is %s, and what inferenceExtension.pluginsCustomConfig adds" $epp.pluginsConfigFile (keys $files | sortAlpha | join ", ")) -}}
{{- end -}}
{{- $given := include "epp.givenFlags" . | fromJson -}}
{{- if hasKey $given "drain-timeout" -}}
  {{- fail "inferenceExtension.flags has drain-timeout: set inferenceExtension.drainTimeoutSeconds in its place, by which the pod's grace period is set, too" -}}
{{- end -}}
{{- if and (include "epp.isOldPool" .) (gt (include "epp.targetPorts" . | fromJsonArray | len) 1) -}}
  {{- fail "inferencePool.targetPorts: an InferencePool of inference.networking.x-k8s.io/v1alpha2 has one port; list one, or use inferencePool.apiVersion=inference.networking.k8s.io/v1" -}}
{{- end -}}
{{- if $epp.sidecar.enabled -}}
  {{- range list "name" "image" -}}
    {{- if not (get $epp.sidecar .) }}{{ fail (printf "inferenceExtension.sidecar.%s is required where sidecar.enabled is true" .) }}{{ end -}}
  {{- end -}}
{{- end -}}
{{- end -}}
