package injector

import (
	"fmt"
	"path"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/hyperdapr/dapr/pkg/service"
)

// accounts are the service accounts of what makes pods in a cluster, as
// "namespace:name".
var accounts = []string{
	"kube-system:replicaset-controller",
	"kube-system:replication-controller",
	"kube-system:deployment-controller",
	"kube-system:cronjob-controller",
	"kube-system:job-controller",
	"kube-system:statefulset-controller",
	"kube-system:daemon-set-controller",
	"openshift-operator-lifecycle-manager:olm-operator-serviceaccount",
	"tekton-pipelines:tekton-pipelines-controller",
	"mirrord:mirrord-operator",
}

// administrators is the group of users that may do everything anyway.
const administrators = "system:masters"

// requesters decide whose pods get a sidecar: a sidecar has an identity, which
// not everybody who may make pods may hand out.
type requesters struct {
	patterns [][2]string // of namespace and name
}

func newRequesters(env service.LookupEnv) (requesters, error) {
	var r requesters
	add := func(account string) bool {
		namespace, name, ok := strings.Cut(account, ":")
		ok = ok && isPattern(namespace) && isPattern(name)
		r.patterns = append(r.patterns, [2]string{namespace, name})
		return ok
	}
	for _, account := range accounts {
		add(account)
	}
	for _, variable := range []string{"ALLOWED_SERVICE_ACCOUNTS", "ALLOWED_SERVICE_ACCOUNTS_PREFIX_NAMES"} {
		for account := range strings.SplitSeq(env.Get(variable), ",") {
			if account = strings.TrimSpace(account); account != "" && !add(account) {
				return r, badVariable(variable, account, "use NAMESPACE:NAME,NAMESPACE:NAME; a * stands for any characters")
			}
		}
	}
	return r, nil
}

func isPattern(s string) bool {
	_, err := path.Match(s, "")
	return err == nil && s != ""
}

// refuse says why a user's pods get no sidecar, or nothing when they do.
func (r requesters) refuse(user authenticationv1.UserInfo) string {
	if slices.Contains(user.Groups, administrators) {
		return ""
	}
	account, ok := strings.CutPrefix(user.Username, "system:serviceaccount:")
	namespace, name, both := strings.Cut(account, ":")
	if !ok || !both {
		return fmt.Sprintf("it was made by %q, who is not of the group %s; let a Deployment make it", user.Username, administrators)
	}
	for _, p := range r.patterns {
		inNamespace, _ := path.Match(p[0], namespace) // patterns are checked at the start
		named, _ := path.Match(p[1], name)
		if inNamespace && named {
			return ""
		}
	}
	return fmt.Sprintf("it was made by service account %q; allow it with the chart's value dapr_sidecar_injector.allowedServiceAccounts=%[1]s", account)
}
