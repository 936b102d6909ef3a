{{- define "image-search.name" -}}
{{- printf "%s" .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- define "image-search.labels" -}}
app.kubernetes.io/name: image-search
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}
{{- define "image-search.selector" -}}
app.kubernetes.io/name: image-search
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}
{{- define "image-search.hardened" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end -}}
{{- define "image-search.secret" -}}
{{- required "existingSecret: name a secret with the keys (see values.yaml)" .Values.existingSecret -}}
{{- end -}}
{{- define "image-search.env" -}}
{{- $secret := include "image-search.secret" . -}}
{{- range $name, $key := dict "SECURITY__ADMIN_KEY" "admin-key" "SECURITY__SIGNING_KEY" "signing-key" "SECURITY__METRICS_KEY" "metrics-key" "MILVUS__TOKEN" "milvus-token" "STORAGE__ACCESS_KEY" "s3-access-key" "STORAGE__SECRET_KEY" "s3-secret-key" }}
- name: IMAGE_SEARCH_{{ $name }}
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: {{ $key }}}}
{{- end }}
- name: IMAGE_SEARCH_SECURITY__USER_KEY
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: user-key, optional: true}}
{{- end -}}

{{- define "image-search.milvus" -}}
{{- /* As Milvus's chart calls its service. */ -}}
{{- if contains "milvus" .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-milvus{{ end -}}
{{- end -}}
{{- define "image-search.spread" -}}
{{- $component := .component -}}
{{- with .root.Values.spreadOver }}
topologySpreadConstraints:
  {{- range . }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "image-search.selector" $.root | nindent 8 }}
        app.kubernetes.io/component: {{ $component }}
  {{- end }}
{{- end }}
{{- end -}}
{{- define "image-search.placing" -}}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}
{{- define "image-search.ingress-annotations" -}}
{{- $annotations := .annotations -}}
{{- range $name, $value := .root.Values.ingress.annotations }}
{{- /* Of two ingresses with one certificate only the first may ask for it. */}}
{{- if or (not $.second) (not (hasPrefix "cert-manager.io/" $name)) }}
{{- $_ := set $annotations $name (toString $value) }}
{{- end }}
{{- end }}
{{- toYaml $annotations -}}
{{- end -}}
