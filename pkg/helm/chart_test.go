package helm

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pmezard/go-difflib/difflib"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"github.com/hyperdapr/dapr/embed"
	"github.com/hyperdapr/dapr/pkg/version"
	"github.com/hyperdapr/dapr/test/golden"
)

var target = Target{Release: "dapr", Namespace: "dapr-system"}

func theChart(t *testing.T) *Chart {
	t.Helper()
	c, err := Load(embed.Chart(), "1.2.3")
	require.NoError(t, err)
	return c
}

func values(t *testing.T, expressions ...string) Values {
	t.Helper()
	v := Values{}
	for _, e := range expressions {
		require.NoError(t, v.Set(e))
	}
	return v
}

func render(t *testing.T, c *Chart, expressions ...string) string {
	t.Helper()
	r, err := c.Template(t.Context(), target, values(t, expressions...))
	require.NoError(t, err, "%q", expressions)
	objects := regexp.MustCompile(`(?m)^# Source: .*\n`).ReplaceAllString(r.Manifest, "")
	return regexp.MustCompile(`\n+(---\n|$)`).ReplaceAllString(objects, "\n$1") // a template's last empty lines
}

func TestDefaultRendering(t *testing.T) {
	c := theChart(t)
	golden.Equal(t, "default.yaml", render(t, c))
	golden.Equal(t, "ha.yaml", render(t, c, "global.ha.enabled=true"))
	r, err := c.Template(t.Context(), target, nil)
	require.NoError(t, err)
	golden.Equal(t, "notes.txt", r.Notes)
}

// changes has every value of the chart that changes what is rendered. Several
// expressions in one line are needed where a value only counts beside another.
var changes = []string{
	"global.registry=registry.example.com/mirror",
	"global.tag=1.2.3",
	"global.imagePullPolicy=Always",
	"global.imagePullSecrets=login",
	"global.imagePullSecrets={login,other}",
	"global.imagePullSecrets[0].name=login",
	"global.dnsSuffix=.example.local",
	"global.logAsJson=true",
	"global.ha.enabled=true global.ha.replicaCount=5",
	"global.ha.enabled=true global.ha.topologyKey=rack",
	"global.ha.enabled=true global.ha.podAntiAffinityPolicy=required",
	"global.ha.enabled=true global.ha.disruption.minimumAvailable=2",
	"global.ha.enabled=true global.ha.disruption.maximumUnavailable=1",
	"global.mtls.enabled=false",
	"global.mtls.workloadCertTTL=1h",
	"global.mtls.allowedClockSkew=1m",
	"global.mtls.controlPlaneTrustDomain=example.com",
	"global.mtls.sentryAddress=sentry.example.com:443",
	"global.mtls.mountSentryVolume=false",
	"global.issuerFilenames.ca=root.pem",
	"global.issuerFilenames.cert=issuer.pem",
	"global.issuerFilenames.key=issuer-key.pem",
	"global.rbac.namespaced=true",
	"global.prometheus.enabled=false",
	"global.prometheus.port=9999",
	"global.actors.enabled=false",
	"global.reminders.serviceName=scheduler",
	"global.operator.watchdogCanPatchPodLabels=true",
	"global.argoRolloutServiceReconciler.enabled=true",
	"global.priorityClassName=system-cluster-critical",
	"global.nodeSelector.pool=5",
	"global.tolerations[0].key=dedicated global.tolerations[0].operator=Exists",
	"global.labels.team=true",
	"global.k8sLabels.team=platform",
	"global.seccompProfile=Unconfined",
	"dapr_config.dapr_config_chart_included=false",
	"dapr_config.dapr_default_system_config_name=mine",
	"dapr_operator.watchInterval=15s",
	"dapr_operator.maxPodRestartsPerMinute=5",
	"dapr_operator.watchNamespace=apps",
	"dapr_operator.serviceReconciler.enabled=false",
	"dapr_operator.apiService.type=LoadBalancer",
	"dapr_operator.apiService.annotations.a=true",
	"dapr_operator.webhookService.type=NodePort",
	"dapr_operator.webhookService.annotations.a=b",
	"dapr_operator.ports.port=8443",
	"dapr_operator.ports.targetPort=6501",
	"dapr_placement.ha=true",
	"dapr_placement.scaleZero=true",
	"dapr_placement.maxActorApiLevel=11",
	"dapr_placement.minActorApiLevel=1",
	"dapr_placement.replicationFactor=200",
	"dapr_placement.keepAliveTime=3s",
	"dapr_placement.keepAliveTimeout=4s",
	"dapr_placement.disseminateTimeout=9s",
	"dapr_placement.disseminateCoalesceWindow=1s",
	"dapr_placement.metadataEnabled=true",
	"dapr_placement.cluster.forceInMemoryLog=false dapr_placement.cluster.logStorePath=/log dapr_placement.fsGroup=1000 " +
		"dapr_placement.volumeclaims.storageSize=2Gi dapr_placement.volumeclaims.storageClassName=fast",
	"dapr_placement.statefulsetAnnotations.a=b",
	"dapr_placement.ports.raftRPCPort=8202",
	"dapr_rbac.secretReader.enabled=false",
	"dapr_rbac.secretReader.namespace=apps",
	"dapr_sentry.extraArgs={--jwt-ttl=1h}",
	"dapr_sentry.tls.root.certPEM=ROOT dapr_sentry.tls.issuer.certPEM=ISSUER dapr_sentry.tls.issuer.keyPEM=KEY",
	"dapr_sentry.tls.trustDomain=example.com",
	"dapr_sentry.jwt.enabled=true dapr_sentry.jwt.keyFilename=k dapr_sentry.jwt.jwksFilename=j dapr_sentry.jwt.issuer=https://i " +
		"dapr_sentry.jwt.signingAlgorithm=ES256 dapr_sentry.jwt.keyID=id",
	"dapr_sentry.oidc.enabled=true dapr_sentry.oidc.server.port=9081 dapr_sentry.oidc.server.address=127.0.0.1 dapr_sentry.oidc.jwksURI=https://j " +
		"dapr_sentry.oidc.pathPrefix=/p dapr_sentry.oidc.allowedHosts={a,b} dapr_sentry.oidc.tls.certFile=/c dapr_sentry.oidc.tls.keyFile=/k",
	"dapr_sentry.oidc.enabled=true dapr_sentry.oidc.tls.enabled=false",
	"dapr_sentry.ports.port=8443",
	"dapr_sentry.ports.targetPort=50003",
	"dapr_sidecar_injector.enabled=false",
	"dapr_sidecar_injector.injectorImage.name=injector",
	"dapr_sidecar_injector.image.name=example.com/daprd:mine",
	"dapr_sidecar_injector.webhookFailurePolicy=Fail",
	"dapr_sidecar_injector.objectSelector.matchLabels.dapr=yes",
	"dapr_sidecar_injector.namespaceSelector.matchLabels.dapr=yes",
	"dapr_sidecar_injector.allowedServiceAccounts=ci:*",
	"dapr_sidecar_injector.allowedServiceAccountsPrefixNames=ci:runner*",
	"dapr_sidecar_injector.kubeClusterDomain=example.local",
	"dapr_sidecar_injector.sidecarImagePullPolicy=Always",
	"dapr_sidecar_injector.sidecarRunAsNonRoot=false",
	"dapr_sidecar_injector.sidecarRunAsUser=1000",
	"dapr_sidecar_injector.sidecarRunAsGroup=1000",
	"dapr_sidecar_injector.sidecarReadOnlyRootFilesystem=false",
	"dapr_sidecar_injector.sidecarDropALLCapabilities=false",
	"dapr_sidecar_injector.nativeSidecar=true",
	"dapr_sidecar_injector.enableK8sDownwardAPIs=true",
	"dapr_sidecar_injector.ignoreEntrypointTolerations[0].key=virtual",
	"dapr_sidecar_injector.hostNetwork=true",
	"dapr_sidecar_injector.port=4001",
	"dapr_sidecar_injector.healthzPort=8081",
}

// without are values that change nothing, each with the reason.
var without = map[string]string{
	"global.actors.serviceName":                      "there is only one",
	"global.daprControlPlaneOs":                      "there is only one",
	"global.scheduler.enabled":                       "only a note: there is no scheduler",
	"dapr_sentry.mode":                               "there is only one",
	"dapr_placement.ports.apiPort":                   "sidecars look for it there",
	"dapr_placement.cluster.logStoreWinPath":         "there is no image for Windows",
	"dapr_rbac.serviceAccount.scheduler.annotations": "there is no scheduler",
	"global.extraVolumes.scheduler":                  "there is no scheduler",
	"global.extraVolumeMounts.scheduler":             "there is no scheduler",
	"global.extraContainers.scheduler":               "there is no scheduler",
	"global.initContainers.scheduler":                "there is no scheduler",
	"dapr_operator.ports.protocol":                   "there is only one",
	"dapr_placement.ports.protocol":                  "there is only one",
	"dapr_sentry.ports.protocol":                     "there is only one",
}

// ofEveryService is added to changes for each of the services.
var services = map[string]string{
	"dapr_operator": "operator", "dapr_placement": "placement", "dapr_sentry": "sentry", "dapr_sidecar_injector": "injector",
}

func everyChange() []string {
	all := slices.Clone(changes)
	for _, chart := range slices.Sorted(maps.Keys(services)) {
		service := services[chart]
		for _, e := range []string{
			"logLevel=debug", "image.name=mine", "runAsNonRoot=false", "extraEnvVars.A=b",
			"resources.requests.cpu=1 %[1]s.resources.requests.memory=1Gi", "topologySpreadConstraints[0].maxSkew=1",
			"livenessProbe.initialDelaySeconds=1 %[1]s.livenessProbe.periodSeconds=2 %[1]s.livenessProbe.failureThreshold=3 %[1]s.livenessProbe.timeoutSeconds=4",
			"readinessProbe.initialDelaySeconds=5 %[1]s.readinessProbe.periodSeconds=6 %[1]s.readinessProbe.failureThreshold=7",
		} {
			all = append(all, strings.ReplaceAll(chart+"."+e, "%[1]s", chart))
		}
		if chart == "dapr_placement" {
			all = append(all, "dapr_placement.replicaCount=3", "dapr_placement.service.annotations.a=b")
		} else {
			all = append(all, chart+".replicaCount=2", chart+".deploymentAnnotations.a=1")
		}
		if chart == "dapr_sentry" || chart == "dapr_sidecar_injector" {
			all = append(all, chart+".service.type=NodePort", chart+".service.annotations.a=b")
		}
		all = append(all,
			fmt.Sprintf("dapr_rbac.serviceAccount.%s.annotations.a=b", service),
			fmt.Sprintf("global.extraVolumes.%s[0].name=v", service),
			fmt.Sprintf("global.extraVolumeMounts.%s[0].name=v", service),
			fmt.Sprintf("global.extraContainers.%s[0].name=c", service),
			fmt.Sprintf("global.initContainers.%s[0].name=c", service))
	}
	return all
}

func TestEveryValue(t *testing.T) {
	c := theChart(t)
	plain := map[bool]string{false: render(t, c), true: render(t, c, "global.ha.enabled=true")}
	var all strings.Builder
	for _, change := range everyChange() {
		expressions := strings.Fields(change)
		before, after := plain[expressions[0] == "global.ha.enabled=true"], render(t, c, expressions...)
		checkObjects(t, before, after)
		diff := difference(t, before, after)
		require.NotEmpty(t, diff, "%s changes nothing", change)
		fmt.Fprintf(&all, "### %s\n%s\n", change, diff)
	}
	golden.Equal(t, "values.diff", all.String())
}

// checkObjects reads what changed as the API server would: with no field that it
// does not know, and none of another type.
func checkObjects(t *testing.T, before, after string) {
	t.Helper()
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	old := documents(t, before)
	for name, doc := range documents(t, after) {
		if old[name] == doc || strings.HasPrefix(name, "Configuration ") {
			continue
		}
		_, _, err := decoder.Decode([]byte(doc), nil, nil)
		require.NoError(t, err, "%s\n%s", name, doc)
	}
}

func TestNoValueIsForgotten(t *testing.T) {
	c := theChart(t)
	text := "." + strings.Join(append(everyChange(), slices.Collect(maps.Keys(without))...), " .") + " "
	for file, prefix := range valueFiles(t) {
		data, err := fs.ReadFile(embed.Chart(), file)
		require.NoError(t, err)
		var tree map[string]any
		require.NoError(t, yaml.Unmarshal(data, &tree))
		for _, path := range leaves(tree, prefix) {
			if strings.Contains(path, ".debug.") {
				continue // refused: see TestRefusals
			}
			covered := regexp.MustCompile(`\.` + regexp.QuoteMeta(path) + `[=.\[ ]`)
			require.Regexp(t, covered, strings.ReplaceAll(text, " dapr_", " .dapr_")+strings.ReplaceAll(text, " global", " .global"), "no change of %s is tested", path)
		}
	}
	for expression := range without {
		_, known := c.Defaults().Lookup(strings.Split(expression, ".")...)
		require.True(t, known, expression)
	}
}

func valueFiles(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{"values.yaml": ""}
	subs, err := fs.Glob(embed.Chart(), "charts/*/values.yaml")
	require.NoError(t, err)
	for _, file := range subs {
		files[file] = filepath.Base(filepath.Dir(file)) + "."
	}
	return files
}

func leaves(tree map[string]any, prefix string) []string {
	var all []string
	for name, value := range tree {
		if sub, ok := value.(map[string]any); ok && len(sub) > 0 {
			all = append(all, leaves(sub, prefix+name+".")...)
			continue
		}
		all = append(all, prefix+name)
	}
	return all
}

// difference is what changed, object by object.
func difference(t *testing.T, before, after string) string {
	t.Helper()
	old, now := documents(t, before), documents(t, after)
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(merged(old, now))) {
		if old[name] == now[name] {
			continue
		}
		diff, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
			A: difflib.SplitLines(old[name]), B: difflib.SplitLines(now[name]), FromFile: name, ToFile: name,
		})
		require.NoError(t, err)
		b.WriteString(name + "\n")
		for _, line := range strings.Split(diff, "\n")[2:] {
			if strings.TrimSpace(line) != "" && strings.ContainsAny(line[:1], "+-") {
				b.WriteString("  " + line + "\n")
			}
		}
	}
	return b.String()
}

func merged(a, b map[string]string) map[string]string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

var nameLines = regexp.MustCompile(`(?m)^kind: (.*)\nmetadata:\n  name: (.*)$`)

func documents(t *testing.T, manifest string) map[string]string {
	t.Helper()
	docs := make(map[string]string)
	for doc := range strings.SplitSeq(manifest, "\n---\n") {
		name := nameLines.FindStringSubmatch(doc)
		require.NotNil(t, name, doc)
		docs[name[1]+" "+name[2]] = doc
	}
	return docs
}

func TestRefusals(t *testing.T) {
	c := theChart(t)
	var b strings.Builder
	for _, change := range []string{
		"global.ha.enable=true",
		"glbal.ha.enabled=true",
		"dapr_operater.logLevel=debug",
		"dapr_sentry.logLevel=loud",
		"global.imagePullPolicy=Sometimes",
		"global.mtls.workloadCertTTL=soon",
		"global.prometheus.port=many",
		"global.prometheus.port=70000",
		"global.ha.enabled=yes",
		"global.imagePullSecrets=1",
		"global.daprControlPlaneOs=windows",
		"global.actors.serviceName=scheduler",
		"global.seccompProfile=Localhost",
		"dapr_sidecar_injector.objectSelector.matchLabels.dapr=true",
		"dapr_sidecar_injector.namespaceSelector.team=platform",
		"dapr_placement.ports.apiPort=50006",
		"global.ha.enabled=true global.ha.replicaCount=2",
		"global.rbac.namespaced=true dapr_operator.watchNamespace=other",
		"dapr_sentry.tls.root.certPEM=x",
		"dapr_operator.debug.enabled=true",
		"global.ha.enable=true global.ha.replicaCount=0",
	} {
		_, err := c.Template(t.Context(), target, values(t, strings.Fields(change)...))
		require.Error(t, err, change)
		var wrong *ValuesError
		require.ErrorAs(t, err, &wrong, change)
		fmt.Fprintf(&b, "%s\n  %s\n", change, strings.ReplaceAll(err.Error(), "\n", "\n  "))
	}
	golden.Equal(t, "refusals.txt", b.String())
}

// A tag may be twice as long as a label, and end as none may.
func TestATagThatIsNoLabel(t *testing.T) {
	manifest := render(t, theChart(t), "global.tag=nightly-"+strings.Repeat("0123456789", 6)+"-1")
	require.Contains(t, manifest, "app.kubernetes.io/version: \"nightly-"+strings.Repeat("0123456789", 6)[:55]+"\"\n")
	manifest = render(t, theChart(t), "global.tag=mine-")
	require.Contains(t, manifest, "app.kubernetes.io/version: \"mine\"\n")
	require.Contains(t, manifest, "dapr:mine-\n")
}

func TestOldClustersAreRefused(t *testing.T) {
	_, err := theChart(t).Template(t.Context(), Target{Release: "dapr", Namespace: "x", KubeVersion: "v1.24.0"}, nil)
	require.ErrorContains(t, err, "1.25")
}

func TestValuesOfTheSchedulerOnlyMakeANote(t *testing.T) {
	c := theChart(t)
	require.Equal(t, render(t, c), render(t, c, "dapr_scheduler.workers=10", "global.scheduler.enabled=true"))
	r, err := c.Template(t.Context(), target, values(t, "dapr_scheduler.workers=10"))
	require.NoError(t, err)
	require.Contains(t, r.Notes, "the scheduler is not part of this release")
}

// The owner stands once in the code; the chart, which is text, repeats it.
func TestTheChartsRegistryIsTheOwners(t *testing.T) {
	require.Equal(t, "ghcr.io/"+version.Owner, theChart(t).Defaults().Text("global", "registry"))
}

// The folder can be given to the program helm as it is.
func TestTheChartHasNoStrangeFiles(t *testing.T) {
	require.NoError(t, fs.WalkDir(embed.Chart(), ".", func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		if !d.IsDir() {
			require.Regexp(t, `(\.yaml|\.tpl|\.txt|\.json|\.helmignore)$`, path)
		}
		return nil
	}))
	require.NoFileExists(t, filepath.Join("..", "..", "embed", "chart", "Chart.lock"))
	_, err := os.Stat(filepath.Join("..", "..", "embed", "chart", "crds", "components.yaml"))
	require.NoError(t, err)
}
