{{/* Parts of the picker's pod. */}}

{{- define "epp.podLabels" -}}
app.kubernetes.io/name: {{ include "epp.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: endpoint-picker
{{- end -}}

{{/* The chart's own variables, but for those that the user gives: a name must not occur twice. */}}
{{- define "epp.env" -}}
{{- $given := list -}}
{{- range .Values.inferenceExtension.env }}{{ $given = append $given .name }}{{ end -}}
{{- $own := list
  (dict "name" "NAMESPACE" "valueFrom" (dict "fieldRef" (dict "fieldPath" "metadata.namespace")))
  (dict "name" "POD_NAME" "valueFrom" (dict "fieldRef" (dict "fieldPath" "metadata.name")))
-}}
{{- with .Values.inferenceExtension.tracing -}}
{{- if .enabled -}}
  {{- $sampling := .sampling | default dict -}}
  {{- $own = concat $own (list
    (dict "name" "OTEL_SERVICE_NAME" "value" "endpoint-picker")
    (dict "name" "OTEL_EXPORTER_OTLP_ENDPOINT" "value" .otelExporterEndpoint)
    (dict "name" "OTEL_TRACES_SAMPLER" "value" $sampling.sampler)
    (dict "name" "OTEL_TRACES_SAMPLER_ARG" "value" (toString $sampling.samplerArg))
  ) -}}
{{- end -}}
{{- end -}}
{{- $env := list -}}
{{- range $own }}{{ if not (has .name $given) }}{{ $env = append $env . }}{{ end }}{{ end -}}
{{- concat $env .Values.inferenceExtension.env | toYaml -}}
{{- end -}}

{{/* A second container of the user's own; its arguments and volumes may hold template expressions. */}}
{{- define "epp.sidecar" -}}
{{- $sidecar := .Values.inferenceExtension.sidecar -}}
{{- if $sidecar.enabled -}}
- name: {{ $sidecar.name }}
  image: {{ $sidecar.image | quote }}
  imagePullPolicy: {{ $sidecar.imagePullPolicy | default "IfNotPresent" }}
  {{- with $sidecar.command }}
  command:
    {{- (kindIs "slice" . | ternary . (list .)) | toYaml | nindent 2 }}
  {{- end }}
  {{- with $sidecar.args }}
  args:
  {{- range . }}
  - {{ tpl (include "epp.text" .) $ | quote }}
  {{- end }}
  {{- end }}
  {{- range $field := list "env" "ports" "livenessProbe" "readinessProbe" "startupProbe" "resources" "securityContext" "volumeMounts" }}
  {{- with get $sidecar $field }}
  {{- dict $field . | toYaml | nindent 2 }}
  {{- end }}
  {{- end }}
{{- end -}}
{{- end -}}

{{/* On which nodes the pods run. Several replicas go to different ones where there is room. */}}
{{- define "epp.placement" -}}
{{- $epp := .Values.inferenceExtension -}}
{{- range $field := list "nodeSelector" "affinity" "tolerations" "priorityClassName" -}}
{{- with get $epp $field }}
{{ dict $field . | toYaml }}
{{- end -}}
{{- end -}}
{{- if $epp.topologySpreadConstraints }}
{{ dict "topologySpreadConstraints" $epp.topologySpreadConstraints | toYaml }}
{{- else if gt (int $epp.replicas) 1 }}
topologySpreadConstraints:
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "epp.selectorLabels" . | nindent 6 }}
{{- end -}}
{{- end -}}
