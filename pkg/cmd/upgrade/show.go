package upgrade

import (
	"fmt"
	"strings"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/controlplane"
	"github.com/hyperdapr/dapr/pkg/kubernetes"
)

// show prints a plan.
func show(p *cmdutil.Printer, plan *controlplane.Plan) {
	if plan.From == plan.To {
		p.Info("Plan: change version %s in the namespace %s", plan.From, plan.Namespace)
	} else {
		p.Info("Plan: from version %s to %s in the namespace %s", plan.From, plan.To, plan.Namespace)
	}
	for _, line := range images(plan.Images) {
		p.Info("%s", line)
	}
	for _, line := range byAction(definitions(plan.CRDs), "CustomResourceDefinitions") {
		p.Info("%s", line)
	}
	for _, line := range byAction(plan.Objects, "Objects") {
		p.Info("%s", line)
	}
	for _, name := range plan.Recreated {
		p.Info("Made anew around its running pods, because a field changes that is fixed: StatefulSet %s", name)
	}
	switch {
	case plan.Downgrade:
		p.Warning("Version %s is older: the CustomResourceDefinitions stay as they are, and what the older version does not know is ignored", plan.To)
	case len(byAction(definitions(plan.CRDs), "")) > 0:
		p.Warning("A rollback would not take back the CustomResourceDefinitions")
	}
}

// images has a line for every pair of images, with all that change so.
func images(changes []controlplane.ImageChange) []string {
	var order []string
	of := make(map[string][]string)
	for _, c := range changes {
		pair := fmt.Sprintf("Image %s becomes %s", c.From, c.To)
		if of[pair] == nil {
			order = append(order, pair)
		}
		of[pair] = append(of[pair], c.Of)
	}
	var lines []string
	for _, pair := range order {
		lines = append(lines, pair+": "+strings.Join(of[pair], ", "))
	}
	return lines
}

// definitions have no kind of their own to show: all are of one.
func definitions(changes []kubernetes.CRDChange) []controlplane.ObjectChange {
	var objects []controlplane.ObjectChange
	for _, c := range changes {
		objects = append(objects, controlplane.ObjectChange{
			Action: c.Action, Name: fmt.Sprintf("%s (%s)", c.Name, strings.Join(c.Versions, ", ")),
		})
	}
	return objects
}

// byAction has a line for every action but the one of keeping things.
func byAction(changes []controlplane.ObjectChange, what string) []string {
	var lines []string
	for _, action := range []string{kubernetes.Create, kubernetes.Change, kubernetes.Delete} {
		var names []string
		for _, c := range changes {
			if c.Action == action {
				names = append(names, strings.TrimSpace(c.Kind+" "+c.Name))
			}
		}
		if len(names) > 0 {
			lines = append(lines, fmt.Sprintf("%s to %s: %s", what, action, strings.Join(names, ", ")))
		}
	}
	return lines
}
