{{/* The plugin configurations: file name to text, as JSON. A custom file may take the place of one of the chart's. */}}
{{- define "epp.pluginFiles" -}}
{{- $files := dict -}}
{{- range $path, $_ := .Files.Glob "plugins/*.yaml" -}}
  {{- $_ := set $files (base $path) (include "epp.pluginFile" (dict "path" $path "root" $)) -}}
{{- end -}}
{{- range $name, $text := .Values.inferenceExtension.pluginsCustomConfig }}{{ $_ := set $files $name $text }}{{ end -}}
{{- $files | toJson -}}
{{- end -}}

{{/* One of plugins/*.yaml, as it is or with the plugins that the model servers need. */}}
{{- define "epp.pluginFile" -}}
{{- $text := .root.Files.Get .path -}}
{{- $pool := .root.Values.inferencePool -}}
{{- $config := fromYaml $text -}}
{{- if ne $pool.modelServerType "vllm" -}}
  {{- $engine := dict "type" "core-metrics-extractor" "parameters" (dict "defaultEngine" $pool.modelServerType) -}}
  {{- $_ := set $config "plugins" (append $config.plugins $engine) -}}
{{- end -}}
{{- with include "epp.parser" .root -}}
  {{- $_ := set $config "plugins" (append $config.plugins (dict "type" .)) -}}
  {{- $_ := set $config "requestHandler" (dict "parsers" (list (dict "pluginRef" .))) -}}
{{- end -}}
{{- if deepEqual $config (fromYaml $text) }}{{ $text }}{{ else }}{{ toYaml $config }}{{ end -}}
{{- end -}}

{{/* Who reads request bodies; empty: the picker's own default, which reads OpenAI's API and Anthropic's. */}}
{{- define "epp.parser" -}}
{{- $pool := .Values.inferencePool -}}
{{- if $pool.parser -}}
  {{ $pool.parser }}
{{- else if eq $pool.modelServerType "triton" -}}
  passthrough-parser
{{- else if and (eq $pool.modelServerProtocol "grpc") (eq $pool.modelServerType "vllm") -}}
  vllmgrpc-parser
{{- end -}}
{{- end -}}
