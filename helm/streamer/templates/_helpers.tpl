{{- define "streamer.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "streamer.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "streamer.name" .) .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "streamer.name" .) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "streamer.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: {{ include "streamer.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Of one topology's workload; they never change, since selectors can't. */}}
{{- define "streamer.selector" -}}
app.kubernetes.io/name: {{ include "streamer.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end }}

{{- define "streamer.image" -}}
{{- $image := .Values.image }}
{{- $name := $image.repository }}
{{- if $image.registry }}{{- $name = printf "%s/%s" $image.registry $name }}{{- end }}
{{- if $image.digest -}}
{{ printf "%s@%s" $name $image.digest }}
{{- else -}}
{{ printf "%s:%s" $name (default .Chart.AppVersion $image.tag) }}
{{- end }}
{{- end }}

{{- define "streamer.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "streamer.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "streamer.scraped" -}}
{{- if .Values.monitoring.annotations -}}
prometheus.io/scrape: "true"
prometheus.io/path: /metrics
prometheus.io/port: {{ .Values.http.port | quote }}
{{- end }}
{{- end }}

{{- /* What contradicts itself is refused here; single values are the schema's. */}}
{{- define "streamer.check" -}}
{{- $kafka := .Values.kafka }}
{{- if not $kafka.bootstrapServers }}{{ fail "kafka.bootstrapServers: needed, as HOST:PORT" }}{{ end }}
{{- if not .Values.topologies }}{{ fail "topologies: at least one is needed" }}{{ end }}
{{- $sasl := hasPrefix "SASL" $kafka.securityProtocol }}
{{- if and $sasl (not $kafka.saslMechanism) }}
{{- fail (printf "kafka.saslMechanism: needed with %s" $kafka.securityProtocol) }}
{{- end }}
{{- if and (not $sasl) $kafka.saslMechanism }}
{{- fail (printf "kafka.saslMechanism: %s proves no identity" $kafka.securityProtocol) }}
{{- end }}
{{- if and $sasl (ne $kafka.saslMechanism "OAUTHBEARER") (not $kafka.auth.existingSecret) }}
{{- fail (printf "kafka.auth.existingSecret: needed with %s" $kafka.saslMechanism) }}
{{- end }}
{{- if eq $kafka.saslMechanism "OAUTHBEARER" }}
{{- if eq (empty $kafka.oauth.tokenUrl) (empty $kafka.oauth.tokenFile) }}
{{- fail "kafka.oauth: tokenUrl or tokenFile" }}
{{- end }}
{{- if and $kafka.oauth.tokenUrl (not $kafka.auth.existingSecret) }}
{{- fail "kafka.auth.existingSecret: needed with oauth.tokenUrl" }}
{{- end }}
{{- end }}
{{- if and (empty $kafka.tls.certKey) $kafka.tls.keyKey }}
{{- fail "kafka.tls.certKey: needed with keyKey" }}
{{- end }}
{{- if and .Values.traces.enabled (not .Values.traces.endpoint) }}
{{- fail "traces.endpoint: needed when enabled" }}
{{- end }}
{{- $models := .Values.models }}
{{- if and $models.existingClaim $models.image }}
{{- fail "models: existingClaim or image" }}
{{- end }}
{{- if and .Values.monitoring.podMonitor.enabled .Values.monitoring.serviceMonitor.enabled }}
{{- fail "monitoring: podMonitor or serviceMonitor, else everything is counted twice" }}
{{- end }}
{{- end }}

{{- /* Kubernetes' own limits: of a Service's name, and of what a StatefulSet adds to a pod's label. */}}
{{- define "streamer.checkName" -}}
{{- if gt (len .name) (int .most) }}
{{- fail (printf "%s: the name %s has %d characters, %d at the most: shorten it, or set fullnameOverride" .where .name (len .name) (int .most)) }}
{{- end }}
{{- end }}

{{- define "streamer.checkWorkload" -}}
{{- $full := printf "%s-%s" (include "streamer.fullname" .root) .name }}
{{- include "streamer.checkName" (dict "where" (printf "topologies.%s" .name) "name" $full "most" (ternary 52 63 (eq .daemon.kind "StatefulSet"))) }}
{{- $scaling := .daemon.autoscaling }}
{{- $where := printf "topologies.%s.daemon" .name }}
{{- if $scaling.enabled }}
{{- if not $scaling.partitions }}{{ fail (printf "%s.autoscaling.partitions: needed" $where) }}{{ end }}
{{- if gt (int $scaling.maxReplicas) (int $scaling.partitions) }}
{{- fail (printf "%s.autoscaling.maxReplicas: %d, and more than %d partitions can't be shared out" $where (int $scaling.maxReplicas) (int $scaling.partitions)) }}
{{- end }}
{{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) }}
{{- fail (printf "%s.autoscaling: minReplicas above maxReplicas" $where) }}
{{- end }}
{{- if .root.Values.kafka.oauth.tokenFile }}
{{- fail (printf "%s.autoscaling: KEDA cannot ask for the lag with kafka.oauth.tokenFile; use tokenUrl" $where) }}
{{- end }}
{{- if eq .daemon.kind "StatefulSet" }}
{{- fail (printf "%s: static members that are scaled down leave their partitions unread until the session timeout; use a Deployment with autoscaling" $where) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "streamer.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "streamer.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "streamer.kafkaEnv" -}}
{{- $kafka := .Values.kafka }}
- {name: STREAMER_KAFKA__BOOTSTRAP_SERVERS, value: {{ $kafka.bootstrapServers | quote }}}
- {name: STREAMER_KAFKA__SECURITY_PROTOCOL, value: {{ $kafka.securityProtocol }}}
- {name: STREAMER_KAFKA__CREATE_TOPICS, value: {{ $kafka.createTopics | quote }}}
- {name: STREAMER_KAFKA__SESSION_TIMEOUT, value: {{ printf "%ds" (int $kafka.sessionTimeoutSeconds) }}}
{{- with $kafka.saslMechanism }}
- {name: STREAMER_KAFKA__SASL_MECHANISM, value: {{ . }}}
{{- end }}
{{- with $kafka.auth }}
{{- if .existingSecret }}
{{- $oauth := eq $kafka.saslMechanism "OAUTHBEARER" }}
- name: {{ ternary "STREAMER_KAFKA__OAUTH_CLIENT_ID" "STREAMER_KAFKA__SASL_PLAIN_USERNAME" $oauth }}
  valueFrom: {secretKeyRef: {name: {{ .existingSecret }}, key: {{ .usernameKey }}}}
- name: {{ ternary "STREAMER_KAFKA__OAUTH_CLIENT_SECRET_FILE" "STREAMER_KAFKA__SASL_PLAIN_PASSWORD_FILE" $oauth }}
  value: /etc/streamer/kafka-auth/{{ .passwordKey }}
{{- end }}
{{- end }}
{{- with $kafka.oauth.tokenUrl }}
- {name: STREAMER_KAFKA__OAUTH_TOKEN_URL, value: {{ . | quote }}}
{{- end }}
{{- with $kafka.oauth.scope }}
- {name: STREAMER_KAFKA__OAUTH_SCOPE, value: {{ . | quote }}}
{{- end }}
{{- with $kafka.oauth.tokenFile }}
- {name: STREAMER_KAFKA__OAUTH_TOKEN_FILE, value: {{ . | quote }}}
{{- end }}
{{- with $kafka.tls }}
{{- if .existingSecret }}
{{- if .caKey }}
- {name: STREAMER_KAFKA__SSL_CAFILE, value: /etc/streamer/kafka-tls/{{ .caKey }}}
{{- end }}
{{- if .certKey }}
- {name: STREAMER_KAFKA__SSL_CERTFILE, value: /etc/streamer/kafka-tls/{{ .certKey }}}
{{- end }}
{{- if .keyKey }}
- {name: STREAMER_KAFKA__SSL_KEYFILE, value: /etc/streamer/kafka-tls/{{ .keyKey }}}
{{- end }}
{{- if .keyPasswordKey }}
- {name: STREAMER_KAFKA__SSL_PASSWORD_FILE, value: /etc/streamer/kafka-tls/{{ .keyPasswordKey }}}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Whole folders, no subPath: a rotated secret shows in the running pod. */}}
{{- define "streamer.kafkaMounts" -}}
{{- with .Values.kafka.auth.existingSecret }}
- {name: kafka-auth, mountPath: /etc/streamer/kafka-auth, readOnly: true}
{{- end }}
{{- with .Values.kafka.tls.existingSecret }}
- {name: kafka-tls, mountPath: /etc/streamer/kafka-tls, readOnly: true}
{{- end }}
{{- end }}

{{- define "streamer.kafkaVolumes" -}}
{{- with .Values.kafka.auth.existingSecret }}
- {name: kafka-auth, secret: {secretName: {{ . }}, defaultMode: 288}}
{{- end }}
{{- with .Values.kafka.tls.existingSecret }}
- {name: kafka-tls, secret: {secretName: {{ . }}, defaultMode: 288}}
{{- end }}
{{- end }}

{{- define "streamer.modelsVolume" -}}
{{- if .Values.models.existingClaim -}}
{name: models, persistentVolumeClaim: {claimName: {{ .Values.models.existingClaim }}}}
{{- else if .Values.models.image -}}
{name: models, image: {reference: {{ .Values.models.image | quote }}}}
{{- else -}}
{name: models, emptyDir: {}}
{{- end }}
{{- end }}

{{- /* The port of an address, by its scheme where it names none. */}}
{{- define "streamer.port" -}}
{{- $url := urlParse . }}
{{- regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (ternary "443" "80" (eq $url.scheme "https")) }}
{{- end }}

{{- define "streamer.topologyFile" -}}
/etc/streamer/topology/{{ .name }}.yaml
{{- end }}

{{- define "streamer.topologyText" -}}
{{- toYaml (merge (deepCopy .topology.topology) (dict "name" .name)) }}
{{- end }}

{{- /* The same for a pod without the GPUs that it asks for: models run where they can. */}}
{{- define "streamer.topologyTextAnywhere" -}}
{{- $topology := deepCopy .topology.topology }}
{{- range $_, $model := $topology.models }}
{{- if kindIs "map" $model }}{{- $_ := unset (unset $model "device") "provider" }}{{- end }}
{{- end }}
{{- toYaml (merge $topology (dict "name" .name)) }}
{{- end }}

{{- /* Not empty if any workload is scaled by KEDA. */}}
{{- define "streamer.scales" -}}
{{- range .Values.topologies }}
{{- if (mergeOverwrite (deepCopy $.Values.daemon) (.daemon | default dict)).autoscaling.enabled }}yes{{ end }}
{{- end }}
{{- end }}
