{{- /* Parts of a pod that the daemon and `helm test` share. */}}
{{- define "streamer.env" -}}
- name: STREAMER_INSTANCE
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- if eq .daemon.kind "StatefulSet" }}
- name: STREAMER_KAFKA__GROUP_INSTANCE_ID
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- end }}
{{ include "streamer.kafkaEnv" .root }}
- {name: STREAMER_HTTP__PORT, value: {{ .root.Values.http.port | quote }}}
- name: POD_IP
  valueFrom: {fieldRef: {fieldPath: status.podIP}}
- {name: STREAMER_HTTP__ADVERTISED_URL, value: "http://$(POD_IP):{{ .root.Values.http.port }}"}
- {name: STREAMER_LOG__FORMAT, value: {{ .root.Values.log.format }}}
- {name: STREAMER_LOG__LEVEL, value: {{ .root.Values.log.level }}}
- {name: STREAMER_MODELS__DIR, value: /models}
- {name: STREAMER_LINE__DRAIN_TIMEOUT, value: {{ printf "%ds" (int .daemon.drainTimeoutSeconds) }}}
- {name: STREAMER_LINE__STALL_TIMEOUT, value: {{ printf "%ds" (int .daemon.stallTimeoutSeconds) }}}
{{- with .root.Values.traces }}
{{- if .enabled }}
- {name: STREAMER_TRACES__ENABLED, value: "true"}
- {name: STREAMER_TRACES__ENDPOINT, value: {{ .endpoint | quote }}}
- {name: STREAMER_TRACES__SAMPLE, value: {{ .sample | quote }}}
{{- end }}
{{- end }}
- {name: XDG_CACHE_HOME, value: /cache}
{{- range $variable, $value := .daemon.env }}
- {name: {{ $variable }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}

{{- define "streamer.resources" -}}
{{- $resources := deepCopy .daemon.resources }}
{{- if gt (int .daemon.gpu.count) 0 }}
{{- $limits := merge (dict .daemon.gpu.resourceName (int .daemon.gpu.count)) ($resources.limits | default dict) }}
{{- $resources = set $resources "limits" $limits }}
{{- end }}
{{- toYaml $resources }}
{{- end }}

{{- define "streamer.mounts" -}}
- {name: topology, mountPath: /etc/streamer/topology, readOnly: true}
- {name: models, mountPath: /models, readOnly: {{ or .root.Values.models.readOnly (not (hasPrefix "retrain-" .name)) }}}
- {name: cache, mountPath: /cache}
- {name: tmp, mountPath: /tmp}
{{- if .daemon.sharedMemory }}
- {name: shared-memory, mountPath: /dev/shm}
{{- end }}
{{ include "streamer.kafkaMounts" .root }}
{{- with .daemon.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "streamer.volumes" -}}
- {name: topology, configMap: {name: {{ include "streamer.fullname" .root }}-{{ .name }}}}
- {{ include "streamer.modelsVolume" .root }}
{{- if .daemon.cacheClaim }}
- {name: cache, persistentVolumeClaim: {claimName: {{ .daemon.cacheClaim }}}}
{{- else }}
- {name: cache, emptyDir: {sizeLimit: {{ .daemon.cacheSize }}}}
{{- end }}
- {name: tmp, emptyDir: {sizeLimit: 256Mi}}
{{- with .daemon.sharedMemory }}
- {name: shared-memory, emptyDir: {medium: Memory, sizeLimit: {{ . }}}}
{{- end }}
{{ include "streamer.kafkaVolumes" .root }}
{{- with .daemon.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Where pods go, and before whom; of a section with these keys. */}}
{{- define "streamer.placement" -}}
{{- with (.gpu | default dict).runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
