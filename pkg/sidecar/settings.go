package sidecar

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/hyperdapr/dapr/pkg/component"
	"github.com/hyperdapr/dapr/pkg/resource"
	"github.com/hyperdapr/dapr/pkg/security"
)

// settings are what the resources say, read anew at every reload.
type settings struct {
	config     *resource.Configuration
	access     *security.Policy
	components []*resource.Component
	endpoints  []*resource.HTTPEndpoint
}

// load reads the Configuration and the resources. A mistake in any of them is
// an error, with every other mistake beside it: nothing is started, or on a
// reload replaced, by half.
func (s *Sidecar) load(ctx context.Context) (*settings, error) {
	ctx, cancel := context.WithTimeout(ctx, operatorPatience)
	defer cancel()
	config, all, err := s.source.Load(ctx)
	errs := []error{err}
	if config == nil {
		config = resource.NewConfiguration() // to find what else is wrong
	}
	access, err := accessPolicy(config)
	errs = append(errs, err)
	set := &settings{config: config, access: access, endpoints: resource.Select[*resource.HTTPEndpoint](all)}
	s.warnNotBuilt(config, all)

	for _, c := range resource.Select[*resource.Component](all) {
		switch known, err := s.knows(c); {
		case err != nil && !c.Spec.IgnoreErrors:
			errs = append(errs, err)
		case err != nil:
			s.warnOnce(err.Error() + "; ignored, because spec.ignoreErrors is set")
		case config.Denies(c.Spec.Type, versionOf(c)):
			s.warnOnce(fmt.Sprintf("component %s is left out: the Configuration's spec.components.deny names its type %s", c.Name(), c.Spec.Type))
		case known:
			set.components = append(set.components, c)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if s.o.Mode == ModeKubernetes && !s.o.DisableBuiltinSecretStore {
		set.components = append(set.components, builtinSecrets())
	}
	return set, nil
}

// sameButComponents tells whether nothing but components differs: those are replaced one
// by one, everything else takes a new generation.
func (a *settings) sameButComponents(b *settings) bool {
	return reflect.DeepEqual(a.config.Spec, b.config.Spec) && slices.EqualFunc(a.endpoints, b.endpoints, func(x, y *resource.HTTPEndpoint) bool {
		return x.Name() == y.Name() && x.Auth == y.Auth && reflect.DeepEqual(x.Spec, y.Spec)
	})
}

// warnOnce logs a warning that a reload need not repeat. Only one goroutine
// reads settings.
func (s *Sidecar) warnOnce(msg string) {
	if !s.warned[msg] {
		s.warned[msg] = true
		s.log.Warn(msg)
	}
}

// knows tells whether a building block here owns the component. A type that no
// driver has is an error; one that belongs to a block that is not built yet is a
// warning, so that the same folder of resources works.
func (s *Sidecar) knows(c *resource.Component) (bool, error) {
	drivers, built := kinds[category(c)]
	if !built {
		s.warnOnce(fmt.Sprintf("component %s (%s) is left out: the building block %q is not built yet", c.Name(), c.Spec.Type, category(c)))
		return false, nil
	}
	if err := drivers.Check(component.Spec{Name: c.Name(), Type: c.Spec.Type, Version: versionOf(c)}); err != nil {
		return false, fmt.Errorf("%s: %w", c.Source, err)
	}
	return true, nil
}

// warnNotBuilt names, once each, the parts of the resources that have no effect
// in this release.
func (s *Sidecar) warnNotBuilt(config *resource.Configuration, all []resource.Resource) {
	names := map[string][]string{}
	for _, r := range all {
		switch h := r.Head(); h.Kind {
		case resource.KindComponent, resource.KindConfiguration, resource.KindHTTPEndpoint:
		default:
			names[h.Kind] = append(names[h.Kind], h.Name())
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(names)) {
		s.warnOnce(fmt.Sprintf("resources of kind %s have no effect yet: %s", kind, strings.Join(names[kind], ", ")))
	}
	for _, section := range notBuiltSections(config) {
		s.warnOnce(fmt.Sprintf("Configuration: %s has no effect yet", section))
	}
}

// builtinSecrets declares the secret store that needs no declaration.
func builtinSecrets() *resource.Component {
	c := &resource.Component{Spec: resource.ComponentSpec{Type: "secretstores.kubernetes", Version: "v1", IgnoreErrors: true}}
	c.Metadata.Name = builtinSecretStore
	return c
}

// defaultSecretStore is the store of references that name none.
func (s *Sidecar) defaultSecretStore() string {
	if s.o.Mode == ModeKubernetes {
		return builtinSecretStore
	}
	return ""
}

// env is what references inside resources can refer to.
func (s *Sidecar) env(secrets func(context.Context, string, string) (map[string]string, error)) resource.Env {
	return resource.Env{
		AppID: s.o.AppID, Namespace: s.o.Namespace, PodName: s.lookupEnv.get("POD_NAME"),
		LookupEnv: s.lookupEnv, EnvKeys: strings.Fields(s.lookupEnv.get("DAPR_ENV_KEYS")), Secret: secrets,
		DefaultSecretStore: s.defaultSecretStore(), InlinedSecretStore: s.defaultSecretStore(),
	}
}

// notBuiltSections are the sections of the Configuration that are set and have
// no effect in this release.
func notBuiltSections(c *resource.Configuration) []string {
	spec := c.Spec
	var sections []string
	for _, s := range []struct {
		name string
		set  bool
	}{
		{"spec.httpPipeline", len(spec.HTTPPipeline.Handlers) > 0},
		{"spec.appHttpPipeline", len(spec.AppHTTPPipeline.Handlers) > 0},
		{"spec.tracing", spec.Tracing.Stdout || spec.Tracing.Zipkin.EndpointAddress != "" || spec.Tracing.Otel.EndpointAddress != ""},
		{"spec.metrics.rules", len(c.Metrics().Rules) > 0},
		{"spec.metrics.workflow", c.Metrics().Workflow != nil},
		{"spec.mtls", spec.MTLS.SentryAddress != "" || len(spec.MTLS.TokenValidators) > 0},
		{"spec.wasm", spec.WASM.StrictSandbox},
		{"spec.workflow", !reflect.ValueOf(spec.Workflow).IsZero()},
	} {
		if s.set {
			sections = append(sections, s.name)
		}
	}
	return sections
}

// accessPolicy is who may call the app.
func accessPolicy(c *resource.Configuration) (*security.Policy, error) {
	control := c.Spec.AccessControl
	rules := security.AccessRules{DefaultAction: control.DefaultAction}
	for _, p := range control.Policies {
		app := security.AppRules{TrustDomain: p.TrustDomain, Namespace: p.Namespace, AppID: p.AppID, DefaultAction: p.DefaultAction}
		for _, o := range p.Operations {
			app.Operations = append(app.Operations, security.OperationRule{Name: o.Name, Verbs: o.HTTPVerbs, Action: o.Action})
		}
		rules.Apps = append(rules.Apps, app)
	}
	policy, err := security.NewPolicy(rules)
	if err != nil {
		return nil, fmt.Errorf("Configuration %s: %w", c.Name(), err)
	}
	return policy, nil
}
