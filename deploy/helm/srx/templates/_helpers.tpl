{{/* The name that all objects of the release begin with. */}}
{{- define "srx.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "srx.image" -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}

{{/* Of a list of the top and a component's name. */}}
{{- define "srx.selector" -}}
{{- $top := index . 0 -}}
app.kubernetes.io/name: {{ default $top.Chart.Name $top.Values.nameOverride | quote }}
app.kubernetes.io/instance: {{ $top.Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 | quote }}
{{- end -}}

{{- define "srx.labels" -}}
{{- $top := index . 0 -}}
{{ include "srx.selector" . }}
app.kubernetes.io/version: {{ $top.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $top.Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" $top.Chart.Name $top.Chart.Version | replace "+" "_" | quote }}
{{- end -}}

{{/* Every detector, with all that the templates ask for, as a list in JSON. */}}
{{- define "srx.detectors" -}}
{{- $top := . -}}
{{- $wanted := .Values.detectors -}}
{{- if not $wanted -}}
{{- $none := dict "size" "" -}}
{{- $wanted = dict "simulated-eiger" (dict "config" (include "srx.simulated" . | fromYaml) "storage" $none "state" $none) -}}
{{- end -}}
{{- $found := list -}}
{{- $slugs := dict -}}
{{- range $name, $own := $wanted -}}
{{- $slug := include "srx.slug" $name -}}
{{- if not $slug -}}
{{- fail (printf "detectors: %s has no letter or digit that Kubernetes allows in a name" $name) -}}
{{- end -}}
{{- if hasKey $slugs $slug -}}
{{- fail (printf "detectors: %s and %s are both called %s in Kubernetes: rename one" (get $slugs $slug) $name $slug) -}}
{{- end -}}
{{- $_ := set $slugs $slug $name -}}
{{- $found = append $found (include "srx.detector" (list $top $name $slug (default dict $own)) | fromJson) -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{/* A name of detectors.yaml as Kubernetes allows names. */}}
{{- define "srx.slug" -}}
{{- regexReplaceAll "[^a-z0-9-]+" (lower .) "-" | trimAll "-" | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "srx.simulated" -}}
class: Eiger
dcu_host_purple: {{ include "srx.fullname" . | trunc 50 | trimSuffix "-" }}-simulator
data_port: 26001
dset_name: /entry/instrument/eiger/data
write_root: /data
{{- end -}}

{{- define "srx.detector" -}}
{{- $top := index . 0 -}}
{{- $name := index . 1 -}}
{{- $slug := index . 2 -}}
{{- $own := index . 3 -}}
{{- $config := include "srx.config" (list $top $name $own) | fromJson -}}
{{- $override := include "srx.override" $top | fromJson -}}
{{- $settings := deepCopy $top.Values.defaults -}}
{{- $settings = mergeOverwrite $settings (omit $own "config" "extraEnv") -}}
{{- $settings = mergeOverwrite $settings $override.settings -}}
{{- $env := list -}}
{{- range list $top.Values.defaults.extraEnv $own.extraEnv $override.extraEnv -}}
{{- $env = concat $env (include "srx.envItems" . | fromJsonArray) -}}
{{- end -}}
{{- $_ := set $settings "extraEnv" (include "srx.lastOfEach" $env | fromJsonArray) -}}
{{- $fullname := printf "%s-%s" (include "srx.fullname" $top | trunc 22 | trimSuffix "-") $slug -}}
{{- toJson (dict "name" $name "slug" $slug "fullname" $fullname "config" $config "settings" $settings) -}}
{{- end -}}

{{/* The entry of detectors.yaml, and whether it can be run in a pod. */}}
{{- define "srx.config" -}}
{{- $top := index . 0 -}}
{{- $name := index . 1 -}}
{{- $config := (index . 2).config -}}
{{- if not $config -}}
{{- $file := fromYaml (default "" $top.Values.detectorsFile) -}}
{{- if $file.Error -}}
{{- fail (printf "detectorsFile is not YAML: %s" $file.Error) -}}
{{- end -}}
{{- $config = get $file $name -}}
{{- if not $config -}}
{{- fail (printf "detectors.%s: no config, and detectorsFile has no entry of this name; there are: %s" $name (default "none" (keys $file | sortAlpha | join ", "))) -}}
{{- end -}}
{{- end -}}
{{- range $key := list "api_port" "data_port" "pub_port" -}}
{{- if and (hasKey $config $key) (kindIs "float64" (get $config $key)) (eq (int (get $config $key)) 0) -}}
{{- fail (printf "detectors.%s: %s is 0, any free one: a service needs a number" $name $key) -}}
{{- end -}}
{{- end -}}
{{- if regexMatch "^(127\\.|localhost$|\\[::1\\]$)" (default "" $config.api_host) -}}
{{- fail (printf "detectors.%s: api_host %s is reached from inside the pod only, probes come from outside: leave it out" $name $config.api_host) -}}
{{- end -}}
{{- toJson (merge (dict) $config (dict "api_port" 5000)) -}}
{{- end -}}

{{/* What the predecessor's `daq` says: settings that are known here, all of its extraEnv, and the rest. */}}
{{- define "srx.override" -}}
{{- $settings := dict -}}
{{- $env := list -}}
{{- $unknown := list -}}
{{- $pipelines := default list (default dict .Values.daq).pipeline -}}
{{- if kindIs "map" $pipelines -}}
{{- $pipelines = list $pipelines -}}
{{- end -}}
{{- range $pipelines -}}
{{- if and .template (ne .template "streaming_receiver") -}}
{{- fail (printf "daq.pipeline.template: should be streaming_receiver, whose place this chart takes, not %s" .template) -}}
{{- end -}}
{{- $override := default dict .override -}}
{{- $env = concat $env (include "srx.envWithin" $override | fromJsonArray) -}}
{{- range $key, $value := omit $override "extraEnv" -}}
{{- if hasKey $.Values.defaults $key -}}
{{- $settings = mergeOverwrite $settings (dict $key $value) -}}
{{- else if eq (include "srx.envWithin" $value) "[]" -}}
{{- $unknown = append $unknown $key -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson (dict "settings" $settings "extraEnv" $env "unknown" $unknown) -}}
{{- end -}}

{{/* Every extraEnv below a value, as a list of items. */}}
{{- define "srx.envWithin" -}}
{{- $found := list -}}
{{- if kindIs "map" . -}}
{{- range $key, $value := . -}}
{{- $kind := ternary "srx.envItems" "srx.envWithin" (eq $key "extraEnv") -}}
{{- $found = concat $found (include $kind $value | fromJsonArray) -}}
{{- end -}}
{{- else if kindIs "slice" . -}}
{{- range . -}}
{{- $found = concat $found (include "srx.envWithin" . | fromJsonArray) -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{/* {LOG_LEVEL: DEBUG} as [{name: LOG_LEVEL, value: DEBUG}]; every value as text. */}}
{{- define "srx.envItems" -}}
{{- $items := list -}}
{{- if kindIs "map" . -}}
{{- range $name, $value := . -}}
{{- $item := kindIs "map" $value | ternary $value (dict "value" $value) -}}
{{- $items = append $items (merge (dict "name" $name) $item) -}}
{{- end -}}
{{- else if . -}}
{{- $items = . -}}
{{- end -}}
{{- $texts := list -}}
{{- range $items -}}
{{- $item := . -}}
{{- if and (hasKey . "value") (not (kindIs "string" .value)) -}}
{{- $item = merge (dict "value" (kindIs "invalid" .value | ternary "" (toJson .value))) . -}}
{{- end -}}
{{- $texts = append $texts $item -}}
{{- end -}}
{{- toJson $texts -}}
{{- end -}}

{{/* Items of the environment, of which the last of a name holds. */}}
{{- define "srx.lastOfEach" -}}
{{- $seen := dict -}}
{{- $kept := list -}}
{{- range reverse . -}}
{{- if not (hasKey $seen .name) -}}
{{- $_ := set $seen .name true -}}
{{- $kept = prepend $kept . -}}
{{- end -}}
{{- end -}}
{{- toJson $kept -}}
{{- end -}}

{{/* In bytes: 268435456, or "256 MiB" as detectors.yaml has it. */}}
{{- define "srx.bytes" -}}
{{- if kindIs "string" . -}}
{{- $unit := regexFind "[kKMGT]i?" . -}}
{{- $base := ternary 1024.0 1000.0 (hasSuffix "i" $unit) -}}
{{- $size := regexFind "[0-9.]+" . | float64 -}}
{{- range until (get (dict "" 0 "k" 1 "K" 1 "M" 2 "G" 3 "T" 4) (trimSuffix "i" $unit)) -}}
{{- $size = mulf $size $base -}}
{{- end -}}
{{- int64 $size -}}
{{- else -}}
{{- int64 . -}}
{{- end -}}
{{- end -}}

{{/* What its buffers may hold, and 640 MiB for the program and for answers that clients have not taken. */}}
{{- define "srx.memory" -}}
{{- $bytes := include "srx.bytes" (default "1 GiB" .buffer_limit) | int64 -}}
{{- $bytes = add $bytes (include "srx.bytes" (default "256 MiB" .forward_limit) | int64) -}}
{{- $bytes = add $bytes (include "srx.bytes" (default "128 MiB" .reorder_limit) | int64) -}}
{{- printf "%dMi" (add 640 (div (add $bytes 1048575) 1048576)) -}}
{{- end -}}

{{/* Of the container; the services point to them by name. */}}
{{- define "srx.ports" -}}
- { name: http, containerPort: {{ .config.api_port }} }
- { name: data, containerPort: {{ .config.data_port }} }
{{- with .config.pub_port }}
- { name: pub, containerPort: {{ . }} }
{{- end }}
{{- end -}}

{{/* Where a folder comes from: of a list of its settings, the detector's name and the folder's. */}}
{{- define "srx.volume" -}}
{{- $settings := index . 0 -}}
{{- if $settings.hostPath -}}
hostPath: { path: {{ $settings.hostPath | quote }}, type: Directory }
{{- else if or $settings.existingClaim $settings.size -}}
persistentVolumeClaim: { claimName: {{ default (printf "%s-%s" (index . 1) (index . 2)) $settings.existingClaim }} }
{{- else -}}
emptyDir: {}
{{- end -}}
{{- end -}}
