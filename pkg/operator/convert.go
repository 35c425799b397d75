package operator

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hyperdapr/dapr/pkg/resource"
	"github.com/hyperdapr/dapr/pkg/security"
)

const (
	subscriptionV1 = resource.Group + "/v1alpha1"
	subscriptionV2 = resource.Group + "/v2alpha1"
	// maxReview bounds a conversion request: the API server sends lists of objects.
	maxReview = 64 << 20
)

// conversionReview is the question of the API server and, with a response, the
// answer to it. Kubernetes' own type would link the whole description of
// CustomResourceDefinitions.
type conversionReview struct {
	metav1.TypeMeta `json:",inline"`
	Request         *conversionRequest  `json:"request,omitempty"`
	Response        *conversionResponse `json:"response,omitempty"`
}

type conversionRequest struct {
	UID               types.UID         `json:"uid"`
	DesiredAPIVersion string            `json:"desiredAPIVersion"`
	Objects           []json.RawMessage `json:"objects"`
}

type conversionResponse struct {
	UID              types.UID         `json:"uid"`
	ConvertedObjects []json.RawMessage `json:"convertedObjects"`
	Result           metav1.Status     `json:"result"`
}

// convert answers the API server, which keeps Subscriptions in one version and
// serves two.
func convert(w http.ResponseWriter, r *http.Request) {
	var review conversionReview
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxReview)).Decode(&review); err != nil || review.Request == nil {
		http.Error(w, "the body is not a ConversionReview", http.StatusBadRequest)
		return
	}
	res := &conversionResponse{UID: review.Request.UID, Result: metav1.Status{Status: metav1.StatusSuccess}}
	for _, raw := range review.Request.Objects {
		converted, err := convertObject(raw, review.Request.DesiredAPIVersion)
		if err != nil {
			res.ConvertedObjects = nil
			res.Result = metav1.Status{Status: metav1.StatusFailure, Message: err.Error()}
			break
		}
		res.ConvertedObjects = append(res.ConvertedObjects, converted)
	}
	review.Request, review.Response = nil, res
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(review) // the API server asks again
}

// convertObject turns a Subscription into another version: the route of the old
// is the default route of the new. Rules have no place in the old version and
// stay behind in an annotation, so that they survive the way there and back.
func convertObject(raw []byte, want string) ([]byte, error) {
	var u unstructured.Unstructured
	if err := json.Unmarshal(raw, &u.Object); err != nil {
		return nil, fmt.Errorf("read Subscription: %w", err)
	}
	from := u.GetAPIVersion()
	switch {
	case from == want:
		return raw, nil
	case from == subscriptionV1 && want == subscriptionV2:
		if err := toV2(&u); err != nil {
			return nil, err
		}
	case from == subscriptionV2 && want == subscriptionV1:
		if err := toV1(&u); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("a Subscription cannot be converted from %s to %s", from, want)
	}
	u.SetAPIVersion(want)
	return json.Marshal(u.Object)
}

// rulesAnnotation keeps the rules of a v2alpha1 Subscription in a v1alpha1 one.
const rulesAnnotation = "dapr.io/subscription-rules"

func toV2(u *unstructured.Unstructured) error {
	route, found, _ := unstructured.NestedString(u.Object, "spec", "route")
	unstructured.RemoveNestedField(u.Object, "spec", "route")
	if found {
		if err := unstructured.SetNestedField(u.Object, route, "spec", "routes", "default"); err != nil {
			return fmt.Errorf("convert Subscription %s: %w", u.GetName(), err)
		}
	}
	kept, found := u.GetAnnotations()[rulesAnnotation]
	if !found {
		return nil
	}
	var rules []any
	if err := json.Unmarshal([]byte(kept), &rules); err != nil {
		return fmt.Errorf("convert Subscription %s: annotation %s: %w", u.GetName(), rulesAnnotation, err)
	}
	annotations := u.GetAnnotations()
	delete(annotations, rulesAnnotation)
	u.SetAnnotations(annotations)
	return unstructured.SetNestedSlice(u.Object, rules, "spec", "routes", "rules")
}

func toV1(u *unstructured.Unstructured) error {
	route, _, _ := unstructured.NestedString(u.Object, "spec", "routes", "default")
	rules, found, _ := unstructured.NestedSlice(u.Object, "spec", "routes", "rules")
	unstructured.RemoveNestedField(u.Object, "spec", "routes")
	if err := unstructured.SetNestedField(u.Object, route, "spec", "route"); err != nil {
		return fmt.Errorf("convert Subscription %s: %w", u.GetName(), err)
	}
	if !found || len(rules) == 0 {
		return nil
	}
	kept, err := json.Marshal(rules)
	if err != nil {
		return fmt.Errorf("convert Subscription %s: %w", u.GetName(), err)
	}
	annotations := merged(u.GetAnnotations(), map[string]string{rulesAnnotation: string(kept)})
	u.SetAnnotations(annotations)
	return nil
}

// keepConversion tells the API server which roots the webhook's certificate
// leads to, now and whenever they change.
func keepConversion(ctx context.Context, c *cluster, anchors *security.Anchors, log *slog.Logger) error {
	for {
		changed := anchors.Changed()
		next := resync
		if pem := anchors.PEM(); len(pem) > 0 {
			patch := fmt.Sprintf(`{"spec":{"conversion":{"webhook":{"clientConfig":{"caBundle":%q}}}}}`, base64.StdEncoding.EncodeToString(pem))
			_, err := c.definitions.Patch(ctx, "", subscriptions+"."+resource.Group, types.MergePatchType, []byte(patch))
			if err != nil && ctx.Err() == nil {
				log.Warn("Subscriptions cannot be converted between their versions yet", "error", err)
				next = 10 * time.Second
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-time.After(next):
		}
	}
}
