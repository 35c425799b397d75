package injector

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hyperdapr/dapr/pkg/inject"
	"github.com/hyperdapr/dapr/pkg/service"
)

// How often the keeper looks after the cluster, and how soon again when that
// failed before the first success.
const (
	keepEvery  = 10 * time.Second
	retryEvery = time.Second
)

// anchors are the roots of the injector's certificate.
type anchors interface {
	PEM() []byte
	Changed() <-chan struct{}
}

// keeper keeps the webhook configuration right, whoever changes it, and the
// settings as the cluster has them.
type keeper struct {
	log     *slog.Logger
	health  *service.Health
	cluster *cluster
	anchors anchors
	every   time.Duration

	settings   atomic.Pointer[inject.Settings]
	generation int64 // of the webhook configuration; 0: not reached yet
	knowsAge   bool  // of the cluster
	complaints map[string]string
}

func newKeeper(p *service.Process, c *cluster, a anchors, s inject.Settings) *keeper {
	k := &keeper{
		log: p.Log, health: p.Health, cluster: c, anchors: a, every: keepEvery,
		complaints: make(map[string]string),
	}
	// Until the cluster has told: a plain container works everywhere.
	s.ClusterLacksNativeSidecars = true
	k.settings.Store(&s)
	k.health.Set(healthWebhook, "not seen yet")
	return k
}

// Settings are those in force.
func (k *keeper) Settings() inject.Settings { return *k.settings.Load() }

// run keeps until the context ends.
func (k *keeper) run(ctx context.Context) error {
	for {
		changed := k.anchors.Changed()
		k.learn(ctx)
		wait := k.every
		if !k.setCABundle(ctx) {
			wait = min(wait, retryEvery)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-time.After(wait):
		}
	}
}

// learn takes over what the cluster says about the settings. What it does not
// say stays.
func (k *keeper) learn(ctx context.Context) {
	s := k.Settings()
	s.TrustAnchors = string(k.anchors.PEM())
	on, err := k.cluster.mtls(ctx)
	if k.complain(ctx, "Configuration "+systemConfiguration, err); err == nil {
		s.MTLS = on
	}
	if !k.knowsAge {
		native, err := k.cluster.nativeSidecars(ctx)
		k.complain(ctx, "version of the cluster", err)
		s.ClusterLacksNativeSidecars, k.knowsAge = !native, err == nil
	}
	k.settings.Store(&s)
}

// setCABundle tells whether the API server trusts the webhook as far as is known.
func (k *keeper) setCABundle(ctx context.Context) bool {
	bundle := k.anchors.PEM()
	if len(bundle) == 0 {
		k.health.Set(healthWebhook, "there are no trust anchors yet")
		return false
	}
	generation, err := k.cluster.setCABundle(ctx, bundle)
	k.complain(ctx, healthWebhook+" "+configurationName, err)
	switch {
	case err == nil && k.generation == 0:
		k.log.Info("the webhook configuration has the certificate authority of this injector")
	case err == nil && generation != k.generation:
		k.log.Info("the webhook configuration was changed, and has the certificate authority of this injector again")
	case err != nil && apierrors.ReasonForError(err) == metav1.StatusReasonUnknown && k.generation != 0:
		// The API server cannot be reached. That says nothing about the webhook,
		// which must be there when it is back.
		return true
	case err != nil:
		k.generation = 0
		k.health.Set(healthWebhook, err.Error())
		return false
	}
	k.generation = generation
	k.health.Set(healthWebhook, "")
	return true
}

// complain logs what does not work, once until it changes.
func (k *keeper) complain(ctx context.Context, what string, err error) {
	text := ""
	if err != nil && ctx.Err() == nil {
		text = err.Error()
	}
	if text != "" && text != k.complaints[what] {
		k.log.Error(what + ": " + text + "; trying on")
	}
	k.complaints[what] = text
}
