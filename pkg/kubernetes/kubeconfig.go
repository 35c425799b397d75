package kubernetes

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	// Kubeconfigs of managed clusters log in through these.
	_ "k8s.io/client-go/plugin/pkg/client/auth"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/hyperdapr/dapr/pkg/home"
	"github.com/hyperdapr/dapr/pkg/nearest"
)

// Options say which cluster is meant. The zero value is what kubectl takes
// without flags, in an environment without variables.
type Options struct {
	// Kubeconfig is the path of the one file to read. When it is empty, the files
	// of the variable KUBECONFIG are, or else ~/.kube/config.
	Kubeconfig string
	// Context is one of the file's; when it is empty, the file's current one.
	Context string
	// Getenv looks a variable up, "" when it is not set.
	Getenv func(string) string
	// Warn, when not nil, is told what the server warns of.
	Warn func(string)
}

// files are the kubeconfigs to merge, as kubectl does.
func (o Options) files() []string {
	if o.Kubeconfig != "" {
		return []string{o.Kubeconfig}
	}
	if list := o.getenv(clientcmd.RecommendedConfigPathEnvVar); list != "" {
		return slices.DeleteFunc(filepath.SplitList(list), func(s string) bool { return s == "" })
	}
	folder := o.getenv(home.Variable(runtime.GOOS))
	if folder == "" {
		return nil
	}
	return []string{filepath.Join(folder, clientcmd.RecommendedHomeDir, clientcmd.RecommendedFileName)}
}

func (o Options) getenv(name string) string {
	if o.Getenv == nil {
		return ""
	}
	return o.Getenv(name)
}

// loader merges the files without reading them yet.
func (o Options) loader() clientcmd.ClientConfig {
	rules := &clientcmd.ClientConfigLoadingRules{Precedence: o.files(), WarnIfAllMissing: false}
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: o.Context})
}

// target is the cluster that a kubeconfig points at.
type target struct {
	config *rest.Config
	// context, cluster and user are the kubeconfig's names; all are empty inside
	// a pod.
	context, cluster, user string
}

// load finds the cluster. Its errors say what is missing in which file.
func (o Options) load() (target, error) {
	files := o.files()
	if err := checkFiles(files, o.Kubeconfig != ""); err != nil {
		return target{}, err
	}
	loader := o.loader()
	raw, err := loader.RawConfig()
	if err != nil {
		return target{}, fmt.Errorf("kubeconfig: %w", err)
	}
	where := strings.Join(files, ", ")
	if api.IsConfigEmpty(&raw) {
		if config, err := rest.InClusterConfig(); err == nil && o.Kubeconfig == "" && o.Context == "" {
			return target{config: config}, nil
		}
		return target{}, fmt.Errorf("no cluster to talk to: there is no kubeconfig in %s; give --kubeconfig, or set KUBECONFIG", where)
	}
	name := raw.CurrentContext
	if o.Context != "" {
		name = o.Context
	}
	if err := checkContext(&raw, name, where); err != nil {
		return target{}, err
	}
	config, err := loader.ClientConfig()
	if err != nil {
		return target{}, fmt.Errorf("kubeconfig %s: context %q: %w", where, name, err)
	}
	context := raw.Contexts[name]
	return target{config: config, context: name, cluster: context.Cluster, user: context.AuthInfo}, nil
}

// checkFiles says which file cannot be read. Files of a list may be missing,
// unless all are; the loader would go on without a word.
func checkFiles(files []string, explicit bool) error {
	for _, file := range files {
		f, err := os.Open(file)
		if err == nil {
			f.Close()
			continue
		}
		if errors.Is(err, fs.ErrNotExist) && !explicit {
			continue
		}
		return fmt.Errorf("kubeconfig: %w", err)
	}
	return nil
}

func checkContext(raw *api.Config, name, where string) error {
	known := slices.Sorted(maps.Keys(raw.Contexts))
	list := "it has none"
	if len(known) > 0 {
		list = "it has " + strings.Join(known, ", ")
	}
	context := raw.Contexts[name]
	switch {
	case name == "":
		return fmt.Errorf("kubeconfig %s names no current context (%s); give --context", where, list)
	case context == nil:
		hint := ""
		if near := nearest.Name(name, known); near != "" {
			hint = fmt.Sprintf("; did you mean %q?", near)
		}
		return fmt.Errorf("kubeconfig %s has no context %q (%s)%s", where, name, list, hint)
	case raw.Clusters[context.Cluster] == nil:
		return fmt.Errorf("kubeconfig %s: context %q names the cluster %q, which is not in the file", where, name, context.Cluster)
	case context.AuthInfo != "" && raw.AuthInfos[context.AuthInfo] == nil:
		return fmt.Errorf("kubeconfig %s: context %q names the user %q, who is not in the file", where, name, context.AuthInfo)
	}
	return nil
}
