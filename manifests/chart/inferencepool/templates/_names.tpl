{{/*
Names and labels. The object names are those of the reference's chart, so that commands and dashboards that name an
object find it, and `helm upgrade` of a release of that chart changes its objects in place.
*/}}

{{/* Deployment, ConfigMap, ServiceAccount and roles: at most 44 characters, so that it is a label's value, too. */}}
{{- define "epp.name" -}}
{{ .Release.Name | lower | trunc 40 | trimSuffix "." }}-epp
{{- end -}}

{{/*
The Service: as above where that is a name that Services may have. They may not have dots, nor begin with a digit, while
a release (and with it the InferencePool) may: vllm-llama3.1-8b-instruct.
*/}}
{{- define "epp.serviceName" -}}
{{- $name := include "epp.name" . | replace "." "-" -}}
{{- if not (regexMatch "^[a-z]" $name) }}{{ $name = printf "epp-%s" $name }}{{ end -}}
{{ $name }}
{{- end -}}

{{/* Objects without a namespace. */}}
{{- define "epp.clusterName" -}}
{{ .Release.Name | lower | trunc 40 }}-{{ .Release.Namespace | trunc 40 }}-epp
{{- end -}}

{{/* The Lease of the election, as the picker names it. */}}
{{- define "epp.lease" -}}
epp-{{ .Release.Namespace }}-{{ .Release.Name }}.gateway-api-inference-extension.sigs.k8s.io
{{- end -}}

{{/* Of the pods; a Deployment never changes them. */}}
{{- define "epp.selectorLabels" -}}
inferencepool: {{ include "epp.name" . }}
{{- end -}}

{{- define "epp.labels" -}}
app.kubernetes.io/name: {{ include "epp.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: endpoint-picker
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* image.hub and image.name are the names of v1.0; the host may be left out. */}}
{{- define "epp.image" -}}
{{- $image := .Values.inferenceExtension.image -}}
{{- $path := $image.name | default $image.repository -}}
{{- with $image.registry | default $image.hub }}{{ $path = printf "%s/%s" (trimSuffix "/" .) $path }}{{ end -}}
{{ $path }}:{{ $image.tag | default .Chart.AppVersion }}
{{- end -}}
