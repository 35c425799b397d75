package house

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// neverLinks is what a program must not contain, however indirectly.
var neverLinks = []struct {
	program, prefix, why string
}{
	{"dapr", "github.com/dapr/components-contrib", "the CLI must answer in milliseconds; drivers live in the sidecar"},
	{"dapr", "MODULE/pkg/sidecar", "the CLI starts sidecars, it is none"},
	{"daprd", "helm.sh/helm", "a sidecar runs once per pod: it carries no installer and none of its scanner findings"},
	{"daprd", "github.com/spf13/cobra", "a sidecar has flags, not commands"},
	{"daprd", "github.com/spf13/viper", "a sidecar is configured by flags, environment and resources"},
	{"daprd", "k8s.io/client-go/kubernetes", "the full scheme costs megabytes; the operator reads the cluster for the sidecar"},
	{"controlplane", "helm.sh/helm", "the control plane is what is installed, not the installer"},
	{"controlplane", "github.com/spf13/cobra", "the control plane has roles and flags, not commands"},
	{"controlplane", "github.com/dapr/components-contrib", "drivers live in the sidecar"},
	{"controlplane", "k8s.io/client-go/kubernetes", "every service would hold every kind that Kubernetes has in memory; kubeapi reads single kinds"},
	{"controlplane", "k8s.io/client-go/informers", "the same; kubeapi has informers for single kinds"},
}

func TestProgramsNeverLink(t *testing.T) {
	linked := make(map[string][]string)
	for _, program := range []string{"dapr", "daprd", "controlplane"} {
		out, err := goList("-deps", "./cmd/"+program)
		require.NoError(t, err)
		linked[program] = strings.Fields(string(out))
	}
	for _, rule := range neverLinks {
		prefix := strings.Replace(rule.prefix, "MODULE", modulePath(), 1)
		for _, dep := range linked[rule.program] {
			if dep == prefix || strings.HasPrefix(dep, prefix+"/") {
				t.Errorf("%s links %s: %s (go mod why -m says through whom)", rule.program, dep, rule.why)
				break
			}
		}
	}
}
