package injector

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hyperdapr/dapr/pkg/inject"
)

// maxReview is more than the API server ever sends: a pod is at most 3 MB.
const maxReview = 8 << 20

// webhook answers the API server's question what to make of a new pod.
type webhook struct {
	log        *slog.Logger
	metrics    *metrics
	requesters requesters
	settings   func() inject.Settings
	// components lists those of a namespace.
	components func(ctx context.Context, namespace string) ([]inject.Component, error)
}

// ServeHTTP reads an AdmissionReview and answers one of the same version: v1 and
// v1beta1 have the same fields.
func (w *webhook) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.metrics.requests.Inc()
	review, code, err := readReview(r)
	if err != nil {
		w.metrics.failed.WithLabelValues("", reasonRequest).Inc()
		w.log.Error("a request that is no admission review: "+err.Error(), "from", r.RemoteAddr)
		http.Error(rw, err.Error(), code)
		return
	}
	review.Response = w.review(r.Context(), review.Request)
	review.Response.UID = review.Request.UID
	review.Request = nil
	rw.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(rw).Encode(review); err != nil {
		w.log.Error("the API server did not take the answer: " + err.Error())
	}
}

// readReview returns the HTTP status of its error.
func readReview(r *http.Request) (*admissionv1.AdmissionReview, int, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, http.StatusUnsupportedMediaType, fmt.Errorf("content type %q: use application/json", r.Header.Get("Content-Type"))
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxReview))
	if err != nil {
		return nil, http.StatusBadRequest, fmt.Errorf("read the body: %w", err)
	}
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(body, &review); err != nil {
		return nil, http.StatusBadRequest, fmt.Errorf("the body is no AdmissionReview: %w", err)
	}
	version := review.APIVersion
	switch {
	case review.Kind != "AdmissionReview" || (version != "admission.k8s.io/v1" && version != "admission.k8s.io/v1beta1"):
		return nil, http.StatusBadRequest, fmt.Errorf("a %s of %s: only AdmissionReview of admission.k8s.io/v1 and v1beta1 is understood", review.Kind, version)
	case review.Request == nil:
		return nil, http.StatusBadRequest, errors.New("the AdmissionReview has no request")
	}
	return &review, 0, nil
}

// review decides about one pod, and logs the decision and its reason.
func (w *webhook) review(ctx context.Context, r *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	log := w.log.With("namespace", r.Namespace, "pod", cmp.Or(r.Name, "?"), "requester", r.UserInfo.Username)
	if r.Resource.Group != "" || r.Resource.Resource != "pods" || r.SubResource != "" {
		log.Warn("left alone: the webhook is for pods only", "resource", r.Resource.Resource)
		return allowed()
	}
	var pod corev1.Pod
	if err := json.Unmarshal(r.Object.Raw, &pod); err != nil {
		w.metrics.failed.WithLabelValues("", reasonRequest).Inc()
		log.Error("refused: the object is no pod: " + err.Error())
		return denied("the object is no pod: " + err.Error())
	}
	pod.Namespace = cmp.Or(r.Namespace, pod.Namespace)
	log = log.With("pod", cmp.Or(pod.Name, pod.GenerateName, "?"))

	settings := w.settings()
	refusal := w.requesters.refuse(r.UserInfo)
	if refusal == "" && inject.Enabled(pod.Annotations) {
		if c, _ := inject.Read(pod.Annotations); c.InjectPluggableComponents {
			var err error
			if settings.Components, err = w.components(ctx, pod.Namespace); err != nil {
				w.metrics.failed.WithLabelValues(c.AppID, reasonComponents).Inc()
				log.Error("refused: " + err.Error())
				return denied(err.Error())
			}
		}
	}
	result, err := inject.Pod(&pod, settings)
	id := cmp.Or(result.AppID, inject.AppID(pod.Annotations))
	switch {
	case err == nil && !result.Inject:
		log.Info("left alone: " + result.Reason)
		return allowed()
	case refusal != "":
		w.metrics.failed.WithLabelValues(id, reasonRequester).Inc()
		log.Error("left alone: "+refusal, "app_id", id)
		return allowed(inject.NoSidecar + refusal)
	case err != nil:
		w.metrics.failed.WithLabelValues(id, reasonAppID).Inc()
		log.Error("refused: "+err.Error(), "app_id", id)
		return denied(err.Error())
	}
	for _, warning := range result.Warnings {
		log.Warn(warning, "app_id", id)
	}
	response := allowed(result.Warnings...)
	if response.Patch, err = result.Patch.JSON(); err != nil {
		log.Error("refused: "+err.Error(), "app_id", id)
		return denied(err.Error())
	}
	patchType := admissionv1.PatchTypeJSONPatch
	response.PatchType = &patchType
	w.metrics.succeeded.WithLabelValues(id).Inc()
	log.Info("gets a sidecar: "+result.Reason, "app_id", id)
	return response
}

func allowed(warnings ...string) *admissionv1.AdmissionResponse {
	return &admissionv1.AdmissionResponse{Allowed: true, Warnings: warnings}
}

func denied(why string) *admissionv1.AdmissionResponse {
	return &admissionv1.AdmissionResponse{Result: &metav1.Status{
		Status: metav1.StatusFailure, Message: why, Reason: metav1.StatusReasonInvalid, Code: http.StatusUnprocessableEntity,
	}}
}
