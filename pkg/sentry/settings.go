package sentry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/hyperdapr/dapr/pkg/resource"
)

// settings are what the Configuration of the control plane says.
type settings struct {
	ttl, clockSkew time.Duration
	trustDomain    string // empty when it says nothing
	validators     []resource.TokenValidator
}

// settingsSource reads the Configuration anew.
type settingsSource func(ctx context.Context) (settings, error)

// settingsFromFile reads a file. One that nobody has named need not exist.
func settingsFromFile(path string, given bool) settingsSource {
	return func(context.Context) (settings, error) {
		c, err := resource.LoadConfiguration(path)
		if errors.Is(err, fs.ErrNotExist) && !given {
			c, err = resource.NewConfiguration(), nil
		}
		if err != nil {
			return settings{}, fmt.Errorf("--config: %w", err)
		}
		return newSettings(c)
	}
}

// How much later than the service its Configuration may come, and how often it
// is looked for until then.
const (
	configurationWait = 30 * time.Second
	configurationLook = 200 * time.Millisecond
)

// settingsFromCluster reads a Configuration of the control plane's namespace. The
// first reading waits for it: whoever installs the control plane with Helm gets
// what is of our own kinds last. Without one the defaults apply.
func settingsFromCluster(c *cluster, namespace, name string) settingsSource {
	first := true
	return func(ctx context.Context) (settings, error) {
		conf, err := c.configuration(ctx, namespace, name)
		if first && apierrors.IsNotFound(err) {
			_ = wait.PollUntilContextTimeout(ctx, configurationLook, configurationWait, false, func(ctx context.Context) (bool, error) {
				conf, err = c.configuration(ctx, namespace, name)
				return !apierrors.IsNotFound(err), nil
			}) // err says more than that the time is over
		}
		first = false
		if apierrors.IsNotFound(err) {
			conf, err = resource.NewConfiguration(), nil
		}
		if err != nil {
			return settings{}, fmt.Errorf("read Configuration %s/%s: %w", namespace, name, err)
		}
		return newSettings(conf)
	}
}

func newSettings(c *resource.Configuration) (settings, error) {
	m := c.Spec.MTLS
	s := settings{
		ttl: time.Duration(m.WorkloadCertTTL), clockSkew: time.Duration(m.AllowedClockSkew),
		trustDomain: m.ControlPlaneTrustDomain, validators: m.TokenValidators,
	}
	switch {
	case s.ttl <= 0:
		return s, fmt.Errorf("spec.mtls.workloadCertTTL %s must be above zero, such as 24h", s.ttl)
	case s.clockSkew < 0:
		return s, fmt.Errorf("spec.mtls.allowedClockSkew %s must not be below zero", s.clockSkew)
	}
	return s, nil
}
