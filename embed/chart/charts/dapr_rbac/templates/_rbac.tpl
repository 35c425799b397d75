{{- /* A ServiceAccount, out of "root" and "service". */ -}}
{{- define "dapr.serviceAccount" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: dapr-{{ .service }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "dapr.labels" (merge (dict "name" (print "dapr-" .service)) .) | nindent 4 }}
  {{- with (get .root.Values.serviceAccount .service).annotations }}
  annotations:
    {{- include "dapr.texts" . | trim | nindent 4 }}
  {{- end }}
{{- end -}}

{{- /*
A role and its binding to the service account of "service". "cluster" makes it
one for all namespaces; "role" is its name, and "rules" its rules as a text.
*/ -}}
{{- define "dapr.role" -}}
{{- $prefix := .cluster | ternary "Cluster" "" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $prefix }}Role
metadata:
  name: {{ .role }}
  {{- if not .cluster }}
  namespace: {{ .root.Release.Namespace }}
  {{- end }}
  labels:
    {{- include "dapr.labels" (merge (dict "name" (print "dapr-" .service)) .) | nindent 4 }}
rules:
  {{- .rules | trim | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $prefix }}RoleBinding
metadata:
  name: {{ .role }}
  {{- if not .cluster }}
  namespace: {{ .root.Release.Namespace }}
  {{- end }}
  labels:
    {{- include "dapr.labels" (merge (dict "name" (print "dapr-" .service)) .) | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $prefix }}Role
  name: {{ .role }}
subjects:
  - kind: ServiceAccount
    name: dapr-{{ .service }}
    namespace: {{ .root.Release.Namespace }}
{{- end -}}
