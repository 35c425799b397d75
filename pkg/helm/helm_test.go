package helm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"helm.sh/helm/v4/pkg/action"
	chartcommon "helm.sh/helm/v4/pkg/chart/common"
	kubefake "helm.sh/helm/v4/pkg/kube/fake"
	"helm.sh/helm/v4/pkg/release/common"
	releasev1 "helm.sh/helm/v4/pkg/release/v1"
	helmstorage "helm.sh/helm/v4/pkg/storage"
	"helm.sh/helm/v4/pkg/storage/driver"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/hyperdapr/dapr/embed"
)

// over returns a Client without a cluster, whose objects end in cluster.
func over(t *testing.T, cluster *kubefake.FailingKubeClient) *Client {
	t.Helper()
	cluster.PrintingKubeClient = kubefake.PrintingKubeClient{Out: io.Discard}
	capabilities := *chartcommon.DefaultCapabilities
	capabilities.KubeVersion = chartcommon.KubeVersion{Version: recentKubernetes, Major: "1", Minor: "33"}
	return &Client{namespace: "dapr-system", config: &action.Configuration{
		Releases:     helmstorage.Init(driver.NewMemory()),
		KubeClient:   cluster,
		Capabilities: &capabilities,
	}}
}

func request(t *testing.T, version string, expressions ...string) Request {
	t.Helper()
	c, err := Load(embed.Chart(), version)
	require.NoError(t, err)
	return Request{Name: "dapr", Chart: c, Values: values(t, expressions...), Timeout: time.Second}
}

func TestTheLifeOfARelease(t *testing.T) {
	c, ctx := over(t, &kubefake.FailingKubeClient{}), t.Context()
	_, err := c.Status(ctx, "dapr")
	require.ErrorIs(t, err, ErrNoRelease)
	_, err = c.History(ctx, "dapr")
	require.ErrorIs(t, err, ErrNoRelease)
	require.ErrorIs(t, c.Uninstall(ctx, "dapr", time.Second), ErrNoRelease)
	_, err = c.Upgrade(ctx, request(t, "1.0.0"))
	require.ErrorIs(t, err, ErrNoRelease)
	require.ErrorIs(t, c.Abandon(ctx, "dapr"), ErrNoRelease)

	first, err := c.Install(ctx, request(t, "1.0.0", "global.logAsJson=true"))
	require.NoError(t, err)
	require.Equal(t, "1.0.0", first.Version)
	require.Equal(t, "dapr", first.Chart)
	require.Equal(t, "dapr-system", first.Namespace)
	require.Equal(t, Deployed, first.Status)
	require.Equal(t, Values{"global": map[string]any{"logAsJson": true}}, first.Values, "only those that were given")
	require.Contains(t, first.Manifest, "--log-as-json=true")
	require.NotContains(t, first.Manifest, "kind: CustomResourceDefinition")

	planned, err := c.PlanUpgrade(ctx, request(t, "1.1.0"))
	require.NoError(t, err)
	require.Equal(t, "1.1.0", planned.Version)
	require.Contains(t, planned.Manifest, "--log-as-json=false", "only the request's values count")
	now, err := c.Status(ctx, "dapr")
	require.NoError(t, err)
	require.Equal(t, 1, now.Revision, "a plan is no revision")

	_, err = c.Upgrade(ctx, request(t, "1.1.0"))
	require.NoError(t, err)
	require.NoError(t, c.Rollback(ctx, "dapr", 1, time.Second))
	all, err := c.History(ctx, "dapr")
	require.NoError(t, err)
	require.Len(t, all, 3)
	for i, want := range []struct {
		version string
		status  Status
	}{{"1.0.0", Superseded}, {"1.1.0", Superseded}, {"1.0.0", Deployed}} {
		require.Equal(t, i+1, all[i].Revision)
		require.Equal(t, want.version, all[i].Version)
		require.Equal(t, want.status, all[i].Status)
	}

	require.NoError(t, c.Uninstall(ctx, "dapr", time.Second))
	_, err = c.Status(ctx, "dapr")
	require.ErrorIs(t, err, ErrNoRelease)
}

func TestAFailureLeavesAFailedRelease(t *testing.T) {
	cluster := &kubefake.FailingKubeClient{}
	c, ctx := over(t, cluster), t.Context()
	_, err := c.Install(ctx, request(t, "1.0.0"))
	require.NoError(t, err)
	cluster.UpdateError = errors.New("refused")
	_, err = c.Upgrade(ctx, request(t, "1.1.0"))
	require.ErrorContains(t, err, "refused")
	r, err := c.Status(ctx, "dapr")
	require.NoError(t, err)
	require.Equal(t, Failed, r.Status)
	require.Equal(t, 2, r.Revision)

	cluster.DeleteError = errors.New("nothing to take away")
	err = c.Rollback(ctx, "dapr", 1, time.Second)
	require.EqualError(t, err, "refused", "the cause, and nothing that was done about it")
}

func TestWrongValuesChangeNothing(t *testing.T) {
	c, ctx := over(t, &kubefake.FailingKubeClient{}), t.Context()
	var wrong *ValuesError
	_, err := c.Install(ctx, request(t, "1.0.0", "global.ha.enable=true"))
	require.ErrorAs(t, err, &wrong)
	_, err = c.Status(ctx, "dapr")
	require.ErrorIs(t, err, ErrNoRelease)

	_, err = c.Install(ctx, request(t, "1.0.0"))
	require.NoError(t, err)
	_, err = c.Upgrade(ctx, request(t, "1.0.0", "dapr_sentry.tls.root.certPEM=x"))
	require.ErrorAs(t, err, &wrong)
	r, err := c.Status(ctx, "dapr")
	require.NoError(t, err)
	require.Equal(t, 1, r.Revision)
}

func TestAbandon(t *testing.T) {
	c, ctx := over(t, &kubefake.FailingKubeClient{}), t.Context()
	_, err := c.Install(ctx, request(t, "1.0.0"))
	require.NoError(t, err)
	last, err := c.config.Releases.Last("dapr")
	require.NoError(t, err)
	killed, err := stored(last)
	require.NoError(t, err)
	copied := *killed
	copied.Version, copied.Info = 2, &releasev1.Info{Status: common.StatusPendingUpgrade}
	require.NoError(t, c.config.Releases.Create(&copied))
	_, err = c.Upgrade(ctx, request(t, "1.1.0"))
	require.Error(t, err, "Helm lets nobody else at it")

	r, err := c.Status(ctx, "dapr")
	require.NoError(t, err)
	require.Equal(t, Pending, r.Status)
	require.NoError(t, c.Abandon(ctx, "dapr"))
	_, err = c.Upgrade(ctx, request(t, "1.1.0"))
	require.NoError(t, err)
}

// testdata/helm3.json is what Helm 3.18 left in a cluster: the one revision of a
// release, of a small chart.
func TestAReleaseOfHelm3(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "helm3.json"))
	require.NoError(t, err)
	var secret corev1.Secret
	require.NoError(t, json.Unmarshal(text, &secret))
	kept := fake.NewClientset(&secret).CoreV1().Secrets("dapr-system")
	c, ctx := over(t, &kubefake.FailingKubeClient{}), t.Context()
	c.config.Releases = helmstorage.Init(driver.NewSecrets(kept))

	first, err := c.Status(ctx, "dapr")
	require.NoError(t, err)
	require.Equal(t, Deployed, first.Status)
	require.Equal(t, "0.9.0", first.Version)
	require.False(t, first.Updated.IsZero())
	require.Equal(t, Values{"global": map[string]any{"logAsJson": true}}, first.Values)
	require.Contains(t, first.Manifest, `json: "true"`)

	_, err = c.Upgrade(ctx, request(t, "1.0.0"))
	require.NoError(t, err)
	require.NoError(t, c.Rollback(ctx, "dapr", 1, time.Second))
	all, err := c.History(ctx, "dapr")
	require.NoError(t, err)
	var versions []string
	for _, r := range all {
		versions = append(versions, r.Version+" "+string(r.Status))
	}
	require.Equal(t, []string{"0.9.0 superseded", "1.0.0 superseded", "0.9.0 deployed"}, versions)

	require.NoError(t, c.Uninstall(ctx, "dapr", time.Second))
	left, err := kept.List(ctx, metav1.ListOptions{})
	require.NoError(t, err)
	require.Empty(t, left.Items)
}

// What Helm stores says how its own program goes on with a release.
func TestObjectsAreMergedHere(t *testing.T) {
	c, ctx := over(t, &kubefake.FailingKubeClient{}), t.Context()
	_, err := c.Install(ctx, request(t, "1.0.0"))
	require.NoError(t, err)
	// As if the program helm had made it, with what it does by default.
	last, err := c.config.Releases.Last("dapr")
	require.NoError(t, err)
	made, err := stored(last)
	require.NoError(t, err)
	require.Equal(t, string(releasev1.ApplyMethodClientSideApply), made.ApplyMethod)
	made.ApplyMethod = string(releasev1.ApplyMethodServerSideApply)
	require.NoError(t, c.config.Releases.Update(made))

	_, err = c.Upgrade(ctx, request(t, "1.1.0"))
	require.NoError(t, err)
	require.NoError(t, c.Rollback(ctx, "dapr", 1, time.Second))
	for revision := 2; revision <= 3; revision++ {
		last, err := c.config.Releases.Get("dapr", revision)
		require.NoError(t, err)
		made, err := stored(last)
		require.NoError(t, err)
		require.Equal(t, string(releasev1.ApplyMethodClientSideApply), made.ApplyMethod, "revision %d", revision)
	}
}

func TestHelmsOwnLog(t *testing.T) {
	var said []string
	log := slog.New(logTo(func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }))
	log.Debug("preparing upgrade", "name", "dapr")
	log.Warn("upgrade failed")
	require.Equal(t, []string{`level=DEBUG msg="preparing upgrade" name=dapr`, `level=WARN msg="upgrade failed"`}, said)
	require.False(t, logTo(nil).Enabled(t.Context(), slog.LevelError), "without debug, nothing is said")
}

func TestValues(t *testing.T) {
	v := Values{}
	require.NoError(t, v.Set("a.b=1,a.c={x,y}"))
	require.ErrorContains(t, v.Set("a.b"), `"a.b" is not name=value`)
	v.Put("deep", "a", "d", "e")
	v.Put("over", "a", "b")
	require.Equal(t, Values{"a": map[string]any{"b": "over", "c": []any{"x", "y"}, "d": map[string]any{"e": "deep"}}}, v)
	require.Equal(t, "deep", v.Text("a", "d", "e"))
	require.Empty(t, v.Text("a", "c"), "a list is no text")
	_, found := v.Lookup("a", "b", "c")
	require.False(t, found)

	other := v.Clone()
	other.Remove("a", "d", "e")
	other.Remove("nothing", "there")
	require.Equal(t, "deep", v.Text("a", "d", "e"), "a clone shares nothing")
	_, found = other.Lookup("a", "d", "e")
	require.False(t, found)
	require.Empty(t, Values(nil).Clone())
}
