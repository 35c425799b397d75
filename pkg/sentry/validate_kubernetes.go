package sentry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	sentryv1 "github.com/dapr/dapr/pkg/proto/sentry/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/hyperdapr/dapr/pkg/inject"
	"github.com/hyperdapr/dapr/pkg/security"
)

const (
	// legacyAudience is what pods of old injectors ask a token for.
	legacyAudience = "dapr.io/sentry"
	// controlPlaneAnnotation names the service that a pod of the control plane is.
	controlPlaneAnnotation = inject.Prefix + "control-plane"
	configAnnotation       = inject.Prefix + "config"
	serviceAccountPrefix   = "system:serviceaccount:"
)

// podTokens checks the token of a pod's service account with the cluster, and
// takes from the pod itself which app it is.
type podTokens struct {
	cluster *cluster
	self    security.ID
}

func (*podTokens) run(context.Context) error { return nil }

func (v *podTokens) validate(ctx context.Context, req *sentryv1.SignCertificateRequest) (security.ID, error) {
	if req.GetToken() == "" {
		return security.ID{}, errNoToken
	}
	namespace, account, err := v.review(ctx, req.GetToken())
	if err != nil {
		return security.ID{}, err
	}
	if namespace != req.GetNamespace() {
		return security.ID{}, fmt.Errorf("the token is that of a pod in namespace %q, but the request is for namespace %q", namespace, req.GetNamespace())
	}
	pod, err := v.pod(ctx, req.GetToken(), namespace, account)
	if err != nil {
		return security.ID{}, err
	}
	id, err := v.identify(ctx, pod)
	if err != nil {
		return security.ID{}, err
	}
	if id.AppID != req.GetId() {
		return security.ID{}, fmt.Errorf("pod %s/%s is app %q, but the request is for app %q", namespace, pod.Name, id.AppID, req.GetId())
	}
	return id, id.Validate()
}

// review has the cluster check the token, and returns whose it is.
func (v *podTokens) review(ctx context.Context, token string) (namespace, account string, err error) {
	audiences := []string{v.self.String(), legacyAudience}
	review, err := v.cluster.tokenReviews.Create(ctx, "", &authv1.TokenReview{
		Spec: authv1.TokenReviewSpec{Token: token, Audiences: audiences},
	})
	switch {
	case err != nil:
		return "", "", status.Errorf(codes.Internal, "the cluster could not check the token: %v", err)
	case review.Status.Error != "":
		return "", "", fmt.Errorf("the cluster refuses the token: %s", review.Status.Error)
	case !review.Status.Authenticated:
		return "", "", errors.New("the cluster does not know the token")
	case !slices.ContainsFunc(review.Status.Audiences, func(a string) bool { return slices.Contains(audiences, a) }):
		// An API server that knows no audiences returns none: then the token could
		// be one that the pod gave to anybody.
		return "", "", fmt.Errorf("the token is not for this certificate authority: its audience must be %s", audiences[0])
	}
	name, ok := strings.CutPrefix(review.Status.User.Username, serviceAccountPrefix)
	namespace, account, both := strings.Cut(name, ":")
	if !ok || !both {
		return "", "", fmt.Errorf("the token is that of user %q, not of a service account", review.Status.User.Username)
	}
	return namespace, account, nil
}

// pod returns the pod that the token was made for.
func (v *podTokens) pod(ctx context.Context, token, namespace, account string) (*corev1.Pod, error) {
	claims, err := podClaims(token)
	if err != nil {
		return nil, err
	}
	pod, err := v.cluster.pods.Get(ctx, namespace, claims.Name)
	switch {
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("the token is that of pod %s/%s, which does not exist", namespace, claims.Name)
	case err != nil:
		return nil, status.Errorf(codes.Internal, "read pod %s/%s: %v", namespace, claims.Name, err)
	case claims.UID != "" && claims.UID != string(pod.UID):
		return nil, fmt.Errorf("the token is that of an earlier pod %s/%s", namespace, claims.Name)
	case pod.Spec.ServiceAccountName != account:
		return nil, fmt.Errorf("pod %s/%s has service account %q, not the token's %q", namespace, pod.Name, pod.Spec.ServiceAccountName, account)
	}
	return pod, nil
}

// podClaim is which pod a token is bound to.
type podClaim struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}

// podClaims reads the token without verifying it: the cluster has.
func podClaims(token string) (podClaim, error) {
	var claims struct {
		Kubernetes struct {
			Pod podClaim `json:"pod"`
		} `json:"kubernetes.io"`
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return podClaim{}, errors.New("the token is not a JWT")
	}
	data, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(data, &claims)
	}
	if err != nil || claims.Kubernetes.Pod.Name == "" {
		return podClaim{}, errors.New("the token is not bound to a pod (claim kubernetes.io)")
	}
	return claims.Kubernetes.Pod, nil
}

// identify says who a pod is. What it asks for has no part in it.
func (v *podTokens) identify(ctx context.Context, pod *corev1.Pod) (security.ID, error) {
	if service := pod.Annotations[controlPlaneAnnotation]; service != "" {
		if pod.Namespace != v.self.Namespace {
			return security.ID{}, fmt.Errorf("pod %s/%s has the annotation %s, but the control plane is in namespace %s", pod.Namespace, pod.Name, controlPlaneAnnotation, v.self.Namespace)
		}
		return security.ID{TrustDomain: v.self.TrustDomain, Namespace: pod.Namespace, AppID: "dapr-" + service}, nil
	}
	id := security.ID{TrustDomain: security.DefaultTrustDomain, Namespace: pod.Namespace, AppID: inject.AppID(pod.Annotations)}
	if id.AppID == "" {
		id.AppID = pod.Name
	}
	if name := pod.Annotations[configAnnotation]; name != "" {
		td, err := v.cluster.trustDomain(ctx, pod.Namespace, name)
		switch {
		case apierrors.IsNotFound(err):
			return security.ID{}, fmt.Errorf("pod %s/%s names the Configuration %q, which does not exist in its namespace", pod.Namespace, pod.Name, name)
		case err != nil:
			return security.ID{}, status.Errorf(codes.Internal, "trust domain of pod %s/%s: %v", pod.Namespace, pod.Name, err)
		case td != "":
			id.TrustDomain = td
		}
	}
	if id.TrustDomain == v.self.TrustDomain && id.Namespace == v.self.Namespace && isControlPlane(id.AppID) {
		return security.ID{}, fmt.Errorf("pod %s/%s would have the identity %s, which is the control plane's: choose another app id or trust domain", pod.Namespace, pod.Name, id)
	}
	return id, nil
}

// isControlPlane tells whether an app id is that of a service.
func isControlPlane(appID string) bool {
	switch appID {
	case security.Operator, security.Injector, security.Sentry, security.Placement, security.Scheduler:
		return true
	}
	return false
}
