{{- define "lightfm.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "lightfm.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "lightfm.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "lightfm.image" -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}

{{- define "lightfm.redisHost" -}}
{{- if .Values.store.create -}}
{{ include "lightfm.name" . }}-redis
{{- else -}}
{{ required "store.host: name your Redis, or let the chart make one with store.create" .Values.store.host }}
{{- end -}}
{{- end -}}

{{- define "lightfm.redisAddress" -}}
{{- $scheme := ternary "rediss" "redis" (and .Values.store.tls (not .Values.store.create)) -}}
{{- printf "%s://%s:%v" $scheme (include "lightfm.redisHost" .) (ternary 6379 .Values.store.port .Values.store.create) -}}
{{- end -}}

{{- define "lightfm.state" -}}
{{- .Values.state.url | default "/state" -}}
{{- end -}}

{{- define "lightfm.claim" -}}
{{- .Values.state.existingClaim | default (printf "%s-state" (include "lightfm.name" .)) -}}
{{- end -}}

{{- /* Environment of every pod of Ray. */ -}}
{{- define "lightfm.environment" -}}
{{- $address := include "lightfm.redisAddress" . | splitList "://" -}}
- name: STORE_PASSWORD
  valueFrom:
    secretKeyRef: {name: {{ .Values.secret.name }}, key: redis-password}
- name: RECOMMENDER_REDIS_URL
  value: {{ printf "%s://:$(STORE_PASSWORD)@%s/%v" (index $address 0) (index $address 1) .Values.store.database | quote }}
- name: RECOMMENDER_API_KEYS_FILE
  value: /run/secrets/recommender/keys
- name: RECOMMENDER_STATE_DIR
  value: {{ include "lightfm.state" . | quote }}
{{- with .Values.environment }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* What head and workers have in common: [context, values of the group, container's name, container's ports]. */ -}}
{{- define "lightfm.template" -}}
{{- $root := index . 0 -}}{{- $group := index . 1 -}}
metadata:
  labels:
    {{- include "lightfm.selector" $root | nindent 4 }}
  {{- with $root.Values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  securityContext:
    runAsNonRoot: true
    runAsUser: 1000
    fsGroup: 1000
  {{- with $root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $group.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $group.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $group.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: {{ index . 2 }}
      image: {{ include "lightfm.image" $root | quote }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      {{- with index . 3 }}
      ports:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      env:
        {{- include "lightfm.environment" $root | nindent 8 }}
      volumeMounts:
        {{- if not $root.Values.state.url }}
        - {name: state, mountPath: /state}
        {{- end }}
        - {name: keys, mountPath: /run/secrets/recommender, readOnly: true}
        - {name: shared-memory, mountPath: /dev/shm}
      resources:
        {{- toYaml $group.resources | nindent 8 }}
      {{- with $root.Values.probes.readiness }}
      readinessProbe:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $root.Values.probes.liveness }}
      livenessProbe:
        {{- toYaml . | nindent 8 }}
      {{- end }}
  volumes:
    {{- if not $root.Values.state.url }}
    - name: state
      persistentVolumeClaim: {claimName: {{ include "lightfm.claim" $root }}}
    {{- end }}
    - name: keys
      secret:
        secretName: {{ $root.Values.secret.name }}
        items: [{key: keys, path: keys}]
    - name: shared-memory
      emptyDir: {medium: Memory, sizeLimit: {{ $root.Values.sharedMemory }}}
{{- end -}}

{{- /* What each deployment of Serve has, and what its values do not say. */ -}}
{{- define "lightfm.deployment" -}}
{{- $name := index . 0 -}}{{- $own := index . 1 -}}
{{- $common := dict "ray_actor_options" (dict "num_cpus" 0) "graceful_shutdown_wait_loop_s" 0.2 -}}
{{- if eq $name "Trainer" -}}
{{- $_ := merge $common (dict "graceful_shutdown_timeout_s" 2 "health_check_period_s" 5 "health_check_timeout_s" 30) -}}
{{- else -}}
{{- $_ := merge $common (dict "health_check_period_s" 2 "health_check_timeout_s" 10) -}}
{{- end -}}
{{- toYaml (merge (dict "name" $name) $own $common) -}}
{{- end -}}
