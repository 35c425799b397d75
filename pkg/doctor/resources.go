package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hyperdapr/dapr/pkg/resource"
	"github.com/hyperdapr/dapr/pkg/standalone"
)

// checkResources reads the default resources as a sidecar does.
func checkResources(_ context.Context, m *Machine) ([]Finding, error) {
	l := m.Layout
	var found []Finding
	if _, err := os.Stat(l.Config()); err == nil {
		if _, err := resource.LoadConfiguration(l.Config()); err != nil {
			found = append(found, mistakes(err)...)
		}
	}
	loaded, err := m.resources()
	found = append(found, mistakes(err)...)
	components := resource.Select[*resource.Component](loaded)
	for _, c := range components {
		if f, missing := missingStore(c, components); missing {
			found = append(found, f)
		}
	}
	if len(found) == 0 {
		found = append(found, okay("%s in %s without a mistake", count(len(loaded), "resource"), l.Components()))
	}
	return found, nil
}

// resources are those of apps that name none.
func (m *Machine) resources() ([]resource.Resource, error) {
	folder := m.Layout.Components()
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return resource.LoadFolders([]string{folder}, resource.Filter{})
}

// mistakes takes a joined error apart.
func mistakes(err error) []Finding {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []Finding
		for _, e := range joined.Unwrap() {
			all = append(all, mistakes(e)...)
		}
		return all
	}
	f := fault("%v", err).because("\"dapr run\" refuses to start with it")
	mistake := (*resource.Error)(nil)
	if !errors.As(err, &mistake) {
		return []Finding{f.mend("mend what it names, or move the file away")}
	}
	place := mistake.File
	if mistake.Line > 0 {
		place = fmt.Sprintf("line %d of %s", mistake.Line, mistake.File)
	}
	return []Finding{f.mend("edit %s", place)}
}

// missingStore tells of a component whose secrets are in a store that is not
// there.
func missingStore(c *resource.Component, all []*resource.Component) (Finding, bool) {
	store := c.SecretStore("")
	if store == "" || slices.ContainsFunc(all, func(o *resource.Component) bool {
		return o.Name() == store && strings.HasPrefix(o.Spec.Type, "secretstores.")
	}) {
		return Finding{}, false
	}
	return fault("%s: the component %s has its secrets in the store %q, which is no component", c.Source, c.Name(), store).
		because("it is never opened").mend("add a component %q of a type \"secretstores.…\", or change auth.secretStore in %s", store, c.Source.File), true
}

// checkServices looks for the servers of this machine that components name.
func checkServices(ctx context.Context, m *Machine) ([]Finding, error) {
	loaded, err := m.resources()
	if err != nil && len(loaded) == 0 {
		return nil, nil // the mistakes are another check's
	}
	var found []Finding
	up := 0
	for _, c := range resource.Select[*resource.Component](loaded) {
		for _, p := range c.Spec.Metadata {
			address := ""
			if p.Value != nil {
				address = localAddress(string(*p.Value))
			}
			switch {
			case address == "":
			case m.answers(ctx, address):
				up++
			default:
				found = append(found, warn("the component %s (%s) needs a server at %s, where nobody answers", c.Name(), c.Spec.Type, address).
					because("apps start without it, and their calls to it fail").
					mend("start the server, or change %s in %s", p.Name, c.Source))
			}
		}
	}
	if zipkin := m.zipkin(); zipkin != "" && !m.answers(ctx, zipkin) {
		found = append(found, info("traces go to %s, where nobody answers", zipkin).
			because("they are lost").mend("start Zipkin, or take spec.tracing out of %s", m.Layout.Config()))
	}
	if up > 0 {
		found = append(found, okay("%s of components on this machine answer", count(up, "server")))
	}
	return found, nil
}

// localAddress is the address of this machine that a value is, or "".
func localAddress(value string) string {
	if u, err := url.Parse(value); err == nil && u.Host != "" {
		value = u.Host
	}
	host, port, err := net.SplitHostPort(value)
	if err != nil || port == "" || port == "0" {
		return ""
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return net.JoinHostPort(host, port)
	}
	return ""
}

// zipkin is the address of this machine where the default Configuration sends
// traces, or "".
func (m *Machine) zipkin() string {
	if _, err := os.Stat(m.Layout.Config()); err != nil {
		return ""
	}
	c, err := resource.LoadConfiguration(m.Layout.Config())
	if err != nil {
		return ""
	}
	return localAddress(c.Spec.Tracing.Zipkin.EndpointAddress)
}

// foreignPrograms are those of the other Dapr's installation.
var foreignPrograms = []string{"placement", "scheduler", "dashboard", "web"}

// checkOther looks for what an installation of the other Dapr has left below the
// same folder.
func checkOther(_ context.Context, m *Machine) ([]Finding, error) {
	strangers, err := standalone.Strangers(m.Layout)
	if err != nil {
		return nil, err
	}
	var theirs, unknown []string
	for _, path := range strangers {
		name := strings.TrimSuffix(filepath.Base(path), ".exe")
		switch {
		case slices.Contains(foreignPrograms, name):
			theirs = append(theirs, path)
		case name != "daprd" && name != "controlplane": // the check of the programs tells of these
			unknown = append(unknown, path)
		}
	}
	var found []Finding
	if len(theirs) > 0 {
		found = append(found, info("%s of another Dapr: %s", count(len(theirs), "program"), few(theirs)).
			because("they are not used here").mend("remove them, and the containers dapr_placement, dapr_scheduler, dapr_redis and dapr_zipkin if there are any, once nothing else needs them"))
	}
	if len(unknown) > 0 {
		found = append(found, info("%s in %s that dapr did not put there: %s", count(len(unknown), "file"), m.Layout.Bin(), few(unknown)).
			because("\"dapr uninstall\" leaves them").mend("remove what you do not need"))
	}
	if len(found) == 0 {
		found = append(found, okay("nothing of another installation"))
	}
	return found, nil
}
