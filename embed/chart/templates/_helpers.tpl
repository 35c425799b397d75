{{- /*
What the services have in common. Every template takes a dictionary: "root" is
the context of the sub-chart, "service" the service's short name, such as
"operator", and "name" that of its objects, such as "dapr-operator".
*/ -}}

{{- /* The full name of an image, out of "root" and "image", the image's value. */ -}}
{{- define "dapr.image" -}}
{{- if contains "/" .image.name -}}
{{ .image.name }}
{{- else -}}
{{ .root.Values.global.registry }}/{{ .image.name }}:{{ .root.Values.global.tag }}
{{- end -}}
{{- end -}}

{{- /*
A map of texts, such as labels and annotations are: --set and YAML take true and
5 for something else.
*/ -}}
{{- define "dapr.texts" -}}
{{- range $name, $value := . }}
{{ $name }}: {{ $value | toString | quote }}
{{- end }}
{{- end -}}

{{- define "dapr.labels" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/component: {{ .service }}
app.kubernetes.io/part-of: dapr
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- include "dapr.texts" .root.Values.global.k8sLabels }}
{{- end -}}

{{- define "dapr.podLabels" -}}
app: {{ .name }}
{{ include "dapr.labels" . }}
app.kubernetes.io/version: {{ .root.Values.global.tag | trunc 63 | trimAll "-_." | quote }}
dapr.io/control-plane: {{ .service }}
{{- include "dapr.texts" .root.Values.global.labels }}
{{- end -}}

{{- /* The checksum restarts a service when settings change that it reads once. */ -}}
{{- define "dapr.podAnnotations" -}}
dapr.io/control-plane: {{ .service }}
dapr.io/config-checksum: {{ toJson .root.Values.global.mtls | sha256sum | trunc 16 | quote }}
{{- if .root.Values.global.prometheus.enabled }}
prometheus.io/scrape: "true"
prometheus.io/port: {{ .root.Values.global.prometheus.port | quote }}
prometheus.io/path: /
{{- end }}
{{- end -}}

{{- define "dapr.replicas" -}}
{{- if .root.Values.global.ha.enabled -}}
{{ .root.Values.global.ha.replicaCount }}
{{- else -}}
{{ .root.Values.replicaCount }}
{{- end -}}
{{- end -}}

{{- /* Where the certificate authority is, and who it is. */ -}}
{{- define "dapr.sentryAddress" -}}
{{ .root.Values.global.mtls.sentryAddress | default (printf "dapr-sentry.%s.svc%s:443" .root.Release.Namespace .root.Values.global.dnsSuffix) }}
{{- end -}}

{{- define "dapr.sentryID" -}}
spiffe://{{ .root.Values.global.mtls.controlPlaneTrustDomain }}/ns/{{ .root.Release.Namespace }}/dapr-sentry
{{- end -}}

{{- /* The fields of a pod beside its containers and volumes. */ -}}
{{- define "dapr.pod" -}}
{{- $global := .root.Values.global -}}
serviceAccountName: dapr-{{ .service }}
enableServiceLinks: false
{{- with $global.imagePullSecrets }}
imagePullSecrets:
  {{- range kindIs "string" . | ternary (list .) . }}
  - name: {{ kindIs "map" . | ternary (get (kindIs "map" . | ternary . dict) "name") . }}
  {{- end }}
{{- end }}
{{- with $global.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
securityContext:
  runAsNonRoot: {{ .root.Values.runAsNonRoot }}
  seccompProfile:
    type: {{ $global.seccompProfile | default "RuntimeDefault" }}
  {{- with .fsGroup }}
  fsGroup: {{ . }}
  {{- end }}
{{- with $global.nodeSelector }}
nodeSelector:
  {{- include "dapr.texts" . | trim | nindent 2 }}
{{- end }}
affinity:
  nodeAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      nodeSelectorTerms:
        - matchExpressions:
            - {key: kubernetes.io/os, operator: In, values: [{{ $global.daprControlPlaneOs }}]}
            - {key: kubernetes.io/arch, operator: In, values: [amd64, arm64]}
  {{- if or $global.ha.enabled .ha }}
  podAntiAffinity:
    {{- if hasPrefix "required" $global.ha.podAntiAffinityPolicy }}
    requiredDuringSchedulingIgnoredDuringExecution:
      - topologyKey: {{ $global.ha.topologyKey }}
        labelSelector:
          matchLabels:
            app: {{ .name }}
    {{- else }}
    preferredDuringSchedulingIgnoredDuringExecution:
      {{- $name := .name }}
      {{- range uniq (list $global.ha.topologyKey "kubernetes.io/hostname") }}
      - weight: 100
        podAffinityTerm:
          topologyKey: {{ . }}
          labelSelector:
            matchLabels:
              app: {{ $name }}
      {{- end }}
    {{- end }}
  {{- end }}
{{- with $global.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with get $global.initContainers .service }}
initContainers:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* The fields of a service's container that are the same in all. */ -}}
{{- define "dapr.container" -}}
imagePullPolicy: {{ .root.Values.global.imagePullPolicy }}
# A crash shows its last lines in the pod's status.
terminationMessagePolicy: FallbackToLogsOnError
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: {{ .root.Values.runAsNonRoot }}
  capabilities:
    drop: [ALL]
{{- with .root.Values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
livenessProbe:
  httpGet: {path: /healthz, port: health}
  {{- toYaml .root.Values.livenessProbe | nindent 2 }}
readinessProbe:
  httpGet: {path: /healthz, port: health}
  {{- toYaml .root.Values.readinessProbe | nindent 2 }}
{{- end -}}

{{- define "dapr.args" -}}
- --log-level={{ .root.Values.logLevel }}
- --log-as-json={{ .root.Values.global.logAsJson }}
- --enable-metrics={{ .root.Values.global.prometheus.enabled }}
- --metrics-port={{ .root.Values.global.prometheus.port }}
{{- end -}}

{{- define "dapr.env" -}}
- name: NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
{{- range $name, $value := .root.Values.extraEnvVars }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end -}}

{{- define "dapr.metricsPort" -}}
{{- if .root.Values.global.prometheus.enabled -}}
- {name: metrics, containerPort: {{ .root.Values.global.prometheus.port }}, protocol: TCP}
{{- end -}}
{{- end -}}

{{- define "dapr.metricsServicePort" -}}
{{- if .root.Values.global.prometheus.enabled -}}
- {name: metrics, port: {{ .root.Values.global.prometheus.port }}, targetPort: metrics, protocol: TCP, appProtocol: http}
{{- end -}}
{{- end -}}

{{- /* Whom to trust, and the token that sentry gives an identity for. */ -}}
{{- define "dapr.identityMounts" -}}
- name: dapr-trust-bundle
  mountPath: /var/run/secrets/dapr.io/tls
  readOnly: true
- name: dapr-identity-token
  mountPath: /var/run/secrets/dapr.io/sentrytoken
  readOnly: true
{{- end -}}

{{- /*
The file is asked for by name, so that the kubelet waits some seconds for sentry
to publish it. Whoever mounts all there is may begin with nothing, and see the
file when the kubelet looks again, a minute or more later.
*/ -}}
{{- define "dapr.identityVolumes" -}}
- name: dapr-trust-bundle
  configMap:
    name: dapr-trust-bundle
    items:
      - {key: {{ .root.Values.global.issuerFilenames.ca }}, path: ca.crt}
- name: dapr-identity-token
  projected:
    sources:
      - serviceAccountToken:
          path: token
          expirationSeconds: 7200
          audience: {{ include "dapr.sentryID" . | quote }}
{{- end -}}

{{- define "dapr.extraMounts" -}}
{{- with get .root.Values.global.extraVolumeMounts .service -}}
{{ toYaml . }}
{{- end -}}
{{- end -}}

{{- define "dapr.extraVolumes" -}}
{{- with get .root.Values.global.extraVolumes .service -}}
{{ toYaml . }}
{{- end -}}
{{- end -}}

{{- define "dapr.extraContainers" -}}
{{- with get .root.Values.global.extraContainers .service -}}
{{ toYaml . }}
{{- end -}}
{{- end -}}

{{- /* Keeps some pods while nodes are drained; "ha" is set where a service has its own switch. */ -}}
{{- define "dapr.disruptionBudget" -}}
{{- $ha := .root.Values.global.ha -}}
{{- if or $ha.enabled .ha -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ .name }}-disruption-budget
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "dapr.labels" . | nindent 4 }}
spec:
  {{- if $ha.disruption.minimumAvailable }}
  minAvailable: {{ $ha.disruption.minimumAvailable }}
  {{- else }}
  maxUnavailable: {{ $ha.disruption.maximumUnavailable }}
  {{- end }}
  selector:
    matchLabels:
      app: {{ .name }}
{{- end -}}
{{- end -}}
