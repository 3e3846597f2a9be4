{{- define "goatq.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "goatq.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "goatq.labels" -}}
{{ include "goatq.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "goatq.image" -}}
{{- $name := .Values.image.repository }}
{{- if .Values.image.registry }}{{ $name = printf "%s/%s" .Values.image.registry $name }}{{ end }}
{{- if .Values.image.digest }}{{ printf "%s@%s" $name .Values.image.digest }}{{ else }}{{ printf "%s:%s" $name (.Values.image.tag | default .Chart.AppVersion) }}{{ end }}
{{- end }}

{{- define "goatq.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "goatq.name" .) }}{{ else }}{{ .Values.serviceAccount.name | default "default" }}{{ end }}
{{- end }}

{{/* The host name of node n as other pods see it. */}}
{{- define "goatq.host" -}}
{{- $name := include "goatq.name" .root }}{{ printf "%s-%v.%s-headless.%s.svc" $name .n $name .root.Release.Namespace }}
{{- end }}

{{- define "goatq.properties" -}}
process.roles=broker,controller
log.dirs=/var/lib/goatq/data
http.listener=0.0.0.0:{{ .Values.http.port }}
listeners={{ .Values.listeners.client.name }}://0.0.0.0:{{ .Values.listeners.client.containerPort }}{{ if gt (int .Values.controller.replicaCount) 1 }},{{ .Values.listeners.controller.name }}://0.0.0.0:{{ .Values.listeners.controller.containerPort }}{{ end }}
listener.security.protocol.map={{ .Values.listeners.client.name }}:{{ .Values.listeners.client.protocol }},{{ .Values.listeners.controller.name }}:{{ .Values.listeners.controller.protocol }}
controller.listener.names={{ .Values.listeners.controller.name }}
inter.broker.listener.name={{ .Values.listeners.client.name }}
allow.insecure.listeners={{ .Values.allowInsecureListeners }}
{{- if gt (int .Values.controller.replicaCount) 1 }}
controller.quorum.voters={{ range $n := until (int .Values.controller.replicaCount) }}{{ if $n }},{{ end }}{{ $n }}@{{ include "goatq.host" (dict "root" $ "n" $n) }}:{{ $.Values.listeners.controller.containerPort }}{{ end }}
{{- end }}
{{- range $key, $value := .Values.config }}
{{ $key }}={{ $value }}
{{- end }}
{{- end }}
