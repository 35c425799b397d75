package doctor

import (
	"context"
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// injector is the name of the Deployment, the Service and the webhook
// configuration.
const injector = "dapr-sidecar-injector"

// webhookOf returns the injector's webhook configuration, nil when there is none.
func (s *snapshot) webhookOf(ctx context.Context) (*admissionv1.MutatingWebhookConfiguration, error) {
	config, err := s.Client.Clientset.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, injector, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // none is no error
	}
	if err != nil {
		return nil, fmt.Errorf("read the MutatingWebhookConfiguration %s: %w", injector, err)
	}
	return config, nil
}

// checkWebhook looks at how the API server finds the injector, and whether it
// would trust it.
func checkWebhook(ctx context.Context, s *snapshot) ([]Finding, error) {
	config, err := s.webhookOf(ctx)
	if err != nil {
		return nil, err
	}
	if config == nil || len(config.Webhooks) == 0 {
		return []Finding{fault("there is no MutatingWebhookConfiguration %s with a webhook", injector).
			because("no pod gets a sidecar").mend("%s", s.reinstall())}, nil
	}
	var found []Finding
	for i := range config.Webhooks {
		found = append(found, s.trusted(ctx, config.Webhooks[i].ClientConfig.CABundle)...)
	}
	service := config.Webhooks[0].ClientConfig.Service
	if service == nil {
		return append(found, info("the injector is called at a URL, not at a Service of the cluster").mend("nothing, if that is meant")), nil
	}
	n, err := s.endpoints(ctx, service.Namespace, service.Name)
	switch {
	case err != nil:
		return found, err
	case n == 0:
		found = append(found, fault("the Service %s in the namespace %s has no ready endpoint", service.Name, service.Namespace).
			because(consequence(config.Webhooks[0])).mend("kubectl rollout restart deployment/%s -n %s; kubectl get pods -n %s -l app=%s", injector, service.Namespace, service.Namespace, injector))
	default:
		found = append(found, okay("the injector has %s; while it has none, %s", count(n, "ready endpoint"), consequence(config.Webhooks[0])))
	}
	return found, nil
}

// consequence says what happens while the injector cannot be reached.
func consequence(w admissionv1.MutatingWebhook) string {
	if w.FailurePolicy == nil || *w.FailurePolicy == admissionv1.Fail {
		return "no pod can be made (failurePolicy Fail)"
	}
	return "pods start without their sidecar (failurePolicy Ignore)"
}

// trusted compares the roots of the webhook with those that the injector's
// certificate leads to.
func (s *snapshot) trusted(ctx context.Context, bundle []byte) []Finding {
	mend := fmt.Sprintf("kubectl rollout restart deployment/%s -n %s", injector, s.namespace)
	if len(bundle) == 0 {
		return []Finding{fault("the webhook configuration %s has no caBundle", injector).
			because("the API server trusts nobody who says that it is the injector; the injector writes it within seconds when it runs").mend("%s", mend)}
	}
	roots := s.roots(ctx)
	if roots == nil {
		return nil
	}
	switch same, some := agree(bundle, roots); {
	case same:
		return []Finding{okay("the webhook configuration has the roots of the trust bundle")}
	case some:
		return []Finding{warn("the caBundle of the webhook configuration %s has not all roots of the trust bundle", injector).
			because("a renewal is under way, or the injector has not learned of it").mend("%s", mend)}
	}
	return []Finding{fault("the caBundle of the webhook configuration %s has none of the roots of the trust bundle", injector).
		because("the API server does not trust the injector").mend("%s", mend)}
}

// endpoints counts those of a Service that are ready.
func (s *snapshot) endpoints(ctx context.Context, namespace, service string) (int, error) {
	slices, err := s.Client.Clientset.DiscoveryV1().EndpointSlices(namespace).List(ctx, metav1.ListOptions{
		LabelSelector: discoveryv1.LabelServiceName + "=" + service,
	})
	if err != nil {
		return 0, fmt.Errorf("list the endpoints of the Service %s: %w", service, err)
	}
	n := 0
	for i := range slices.Items {
		for _, e := range slices.Items[i].Endpoints {
			if e.Conditions.Ready == nil || *e.Conditions.Ready {
				n += len(e.Addresses)
			}
		}
	}
	return n, nil
}

// checkInjection asks the cluster what it would make of a pod that asks for a
// sidecar.
func checkInjection(ctx context.Context, s *snapshot) ([]Finding, error) {
	config, err := s.webhookOf(ctx)
	if err != nil || config == nil || len(config.Webhooks) == 0 {
		return nil, err // the check of the webhook tells of it
	}
	namespace, err := s.injected(ctx, config.Webhooks[0].NamespaceSelector)
	if err != nil {
		return nil, err
	}
	if namespace == "" {
		return []Finding{warn("the webhook's namespaceSelector matches no namespace").because("no pod gets a sidecar").
			mend("label a namespace as it asks for; kubectl get mutatingwebhookconfiguration %s -o yaml shows how", injector)}, nil
	}
	i, err := s.Client.TryInjection(ctx, namespace)
	switch {
	case forbidden(err):
		return nil, err
	case err != nil:
		return []Finding{fault("a pod that asks for a sidecar cannot be made in the namespace %s: %v", namespace, err).
			because("neither can an app's").mend("mend what it names; the injector's log may say more: kubectl logs -n %s -l app=%s", s.namespace, injector)}, nil
	case i.Injected:
		return []Finding{okay("a pod that asks for a sidecar would get one in the namespace %s (%s)", namespace, i.Image)}, nil
	case i.Stranger:
		return []Finding{okay("the injector answers; it gives no sidecar to pods that you make yourself, but to those of Deployments and the like")}, nil
	}
	return []Finding{fault("a pod that asks for a sidecar would get none in the namespace %s", namespace).
		because("the API server does not reach the injector, or does not trust it").
		mend("kubectl rollout restart deployment/%s -n %s; where the API server is outside of the cluster's network, let it reach the injector's port 4000", injector, s.namespace)}, nil
}

// injected is a namespace whose pods the webhook sees: default, if it is one.
func (s *snapshot) injected(ctx context.Context, selector *metav1.LabelSelector) (string, error) {
	const usual = corev1.NamespaceDefault
	if selector == nil || len(selector.MatchLabels)+len(selector.MatchExpressions) == 0 {
		return usual, nil
	}
	matches, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return "", err
	}
	all, err := s.Client.Clientset.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", fmt.Errorf("list namespaces: %w", err)
	}
	var names []string
	for i := range all.Items {
		if matches.Matches(labels.Set(all.Items[i].Labels)) {
			names = append(names, all.Items[i].Name)
		}
	}
	switch {
	case len(names) == 0:
		return "", nil
	case slices.Contains(names, usual):
		return usual, nil
	}
	return names[0], nil
}
