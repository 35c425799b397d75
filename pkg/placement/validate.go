package placement

import (
	"strings"

	placementv1 "github.com/dapr/dapr/pkg/proto/placement/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hyperdapr/dapr/pkg/security"
)

// internal is what the names of actor types begin with that sidecars themselves
// host, such as workflows: dapr.internal.NAMESPACE.APP.KIND.
const internal = "dapr.internal."

// validate tells whether a sidecar may say this about itself. caller is who it
// has proved to be, or nil where no proof is asked for.
func validate(h *placementv1.Host, caller *security.ID) error {
	switch {
	case h.GetId() == "":
		return status.Error(codes.InvalidArgument, "the report has no id: it is the app's")
	case h.GetNamespace() == "":
		return status.Errorf(codes.InvalidArgument, "the report of app %q has no namespace", h.GetId())
	case hosts(h) && h.GetName() == "":
		return status.Errorf(codes.InvalidArgument, "the report of app %q has actors but no name: it is the sidecar's host and port", h.GetId())
	case caller != nil && caller.AppID != h.GetId():
		return status.Errorf(codes.PermissionDenied, "the caller has proved to be app %q and says that it is %q", caller.AppID, h.GetId())
	case caller != nil && caller.Namespace != h.GetNamespace():
		return status.Errorf(codes.PermissionDenied, "the caller has proved to be of namespace %q and says that it is of %q", caller.Namespace, h.GetNamespace())
	}
	own := internal + h.GetNamespace() + "." + h.GetId() + "."
	for _, actorType := range h.GetEntities() {
		switch {
		case actorType == "":
			return status.Errorf(codes.InvalidArgument, "the report of app %q has an actor type without a name", h.GetId())
		case strings.HasPrefix(actorType, internal) && !strings.HasPrefix(actorType, own):
			return status.Errorf(codes.PermissionDenied, "actor type %q is not one of app %q in namespace %q: theirs begin with %q", actorType, h.GetId(), h.GetNamespace(), own)
		}
	}
	return nil
}
