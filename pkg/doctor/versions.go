package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/hyperdapr/dapr/pkg/inject"
	"github.com/hyperdapr/dapr/pkg/kubernetes"
	"github.com/hyperdapr/dapr/pkg/version"
)

// checkSkew compares the versions of this program, the control plane and the
// sidecars.
func checkSkew(_ context.Context, s *snapshot) ([]Finding, error) {
	var found []Finding
	versions := kubernetes.Versions(s.services)
	if len(versions) > 1 {
		found = append(found, warn("the services of the control plane have the versions %s", few(versions)).
			because("an upgrade is under way, or was broken off").mend("dapr upgrade -k -n %s --runtime-version %s", s.namespace, s.Version))
	}
	if text := kubernetes.SkewWarning(s.services, s.Version); text != "" {
		found = append(found, warn("%s", strings.ToLower(text[:1])+text[1:]).
			because("commands may ask for what the control plane does not know").mend("dapr upgrade -k -n %s --runtime-version %s", s.namespace, s.Version))
	}
	if len(found) == 0 {
		found = append(found, okay("the control plane has version %s, this program %s", few(versions), s.Version))
	}
	return append(found, s.oldSidecars(versions[len(versions)-1])...), nil
}

// oldSidecars finds pods whose sidecar is of another version than the control
// plane, unless they ask for it.
func (s *snapshot) oldSidecars(current string) []Finding {
	pods := make(map[string][]*corev1.Pod) // by version
	for i := range s.pods {
		pod := &s.pods[i]
		tag, has := kubernetes.SidecarVersion(pod)
		if has && tag != current && pod.DeletionTimestamp == nil && pod.Annotations[inject.Prefix+"sidecar-image"] == "" {
			pods[tag] = append(pods[tag], pod)
		}
	}
	var found []Finding
	for _, tag := range slices.Sorted(maps.Keys(pods)) {
		level, why := Info, "they get the new one when they are made anew"
		if !version.Compatible(tag, current) {
			level, why = Warning, "they are more than one minor version apart, and may not understand each other"
		}
		var commands, names []string
		for _, pod := range pods[tag] {
			names = append(names, pod.Namespace+"/"+pod.Name)
			commands = append(commands, restart(pod))
		}
		slices.Sort(commands)
		commands = slices.Compact(commands)
		if len(commands) > 5 {
			commands = append(commands[:5], "and so on")
		}
		found = append(found, finding(level, "%s with a sidecar of version %s, while the control plane has %s: %s",
			[]any{count(len(names), "pod"), tag, current, few(names)}).because(why).mend("%s", strings.Join(commands, "; ")))
	}
	return found
}

// checkDefinitions compares the CustomResourceDefinitions with those of this
// program.
func checkDefinitions(ctx context.Context, s *snapshot) ([]Finding, error) {
	changes, err := s.ControlPlane.PlanDefinitions(ctx, s.namespace)
	if err != nil {
		return nil, err
	}
	same := 0
	var drifted, missing []string
	for _, c := range changes {
		switch c.Action {
		case kubernetes.Create:
			missing = append(missing, c.Name)
		case kubernetes.Change:
			drifted = append(drifted, c.Name)
		default:
			same++
		}
	}
	if len(drifted)+len(missing) == 0 {
		return []Finding{okay("%s as this program has them", count(same, "CustomResourceDefinition"))}, nil
	}
	// Those of another version are not this program's to judge, nor to replace.
	if own := []string{s.Version}; !slices.Equal(kubernetes.Versions(s.services), own) {
		return []Finding{info("%s differ from those of this program, which has another version than the control plane", few(append(drifted, missing...))).
			mend("dapr upgrade -k -n %s --runtime-version %s", s.namespace, s.Version)}, nil
	}
	repair := func(ctx context.Context) (string, error) {
		if err := s.ControlPlane.ApplyDefinitions(ctx, s.namespace); err != nil {
			return "", err
		}
		return fmt.Sprintf("applied %s", few(append(drifted, missing...))), nil
	}
	var found []Finding
	if len(missing) > 0 {
		found = append(found, fault("the cluster lacks %s", few(missing)).
			because("resources of these kinds can neither be made nor read").mend("dapr doctor -k --fix").by(repair))
		repair = alreadyDone
	}
	if len(drifted) > 0 {
		found = append(found, warn("somebody has changed %s", few(drifted)).
			because("the cluster refuses, drops or lets pass what it should not").mend("dapr doctor -k --fix").by(repair))
	}
	return found, nil
}
