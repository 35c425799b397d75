package grpcapi

import (
	"strings"

	runtimev1pb "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hyperdapr/dapr/pkg/apifilter"
)

// invoke is what calling an app's own service through the sidecar counts as.
var invoke = apifilter.Operation{Protocol: apifilter.GRPC, Group: "invoke", Version: "v1"}

// refusedMethods are the full names of the Dapr service's methods that are not
// offered, each with what is said to who calls it; nil when all are.
func refusedMethods(f apifilter.Filter, missing map[string]error) map[string]error {
	var refused map[string]error
	refuse := func(method string) {
		full := "/" + runtimev1pb.Dapr_ServiceDesc.ServiceName + "/" + method
		op := operation(full)
		err := missing[op.Group]
		if err == nil && !f.Allows(op) {
			err = errNotAllowed
		}
		if err == nil {
			return
		}
		if refused == nil {
			refused = make(map[string]error)
		}
		refused[full] = err
	}
	for _, m := range runtimev1pb.Dapr_ServiceDesc.Methods {
		refuse(m.MethodName)
	}
	for _, m := range runtimev1pb.Dapr_ServiceDesc.Streams {
		refuse(m.StreamName)
	}
	return refused
}

var errNotAllowed = status.Error(codes.Unimplemented, "requested endpoint is not available: the Configuration's API lists do not allow it")

// operation is what the API's allow and deny lists know a method by. Its group
// is empty for methods of other services.
func operation(fullMethod string) apifilter.Operation {
	op := apifilter.Operation{Protocol: apifilter.GRPC, Version: "v1"}
	method, ok := strings.CutPrefix(fullMethod, "/"+runtimev1pb.Dapr_ServiceDesc.ServiceName+"/")
	if !ok {
		return op
	}
	for _, stability := range []string{"Alpha1", "Alpha2", "Beta1"} {
		if name, ok := strings.CutSuffix(method, stability); ok {
			method = name
			op.Version += strings.ToLower(stability)
			break
		}
	}
	op.Group = groups[method]
	return op
}

// groups are the Dapr service's methods, without their stability.
var groups = map[string]string{
	"InvokeService": "invoke",

	"GetState":                "state",
	"GetBulkState":            "state",
	"SaveState":               "state",
	"QueryState":              "state",
	"DeleteState":             "state",
	"DeleteBulkState":         "state",
	"ExecuteStateTransaction": "state",

	"PublishEvent":         "publish",
	"BulkPublishEvent":     "publish",
	"SubscribeTopicEvents": "publish",

	"InvokeBinding": "bindings",

	"GetSecret":     "secrets",
	"GetBulkSecret": "secrets",

	"RegisterActorTimer":             "actors",
	"UnregisterActorTimer":           "actors",
	"RegisterActorReminder":          "actors",
	"UnregisterActorReminder":        "actors",
	"UnregisterActorRemindersByType": "actors",
	"GetActorReminder":               "actors",
	"ListActorReminders":             "actors",
	"GetActorState":                  "actors",
	"ExecuteActorStateTransaction":   "actors",
	"InvokeActor":                    "actors",
	"SubscribeActorEvents":           "actors",

	"GetConfiguration":         "configuration",
	"SubscribeConfiguration":   "configuration",
	"UnsubscribeConfiguration": "configuration",

	"TryLock": "lock",
	"Unlock":  "unlock",

	"Encrypt": "crypto",
	"Decrypt": "crypto",

	"SubtleGetKey":    "subtlecrypto",
	"SubtleEncrypt":   "subtlecrypto",
	"SubtleDecrypt":   "subtlecrypto",
	"SubtleWrapKey":   "subtlecrypto",
	"SubtleUnwrapKey": "subtlecrypto",
	"SubtleSign":      "subtlecrypto",
	"SubtleVerify":    "subtlecrypto",

	"GetMetadata": "metadata",
	"SetMetadata": "metadata",

	"StartWorkflow":      "workflows",
	"GetWorkflow":        "workflows",
	"PurgeWorkflow":      "workflows",
	"TerminateWorkflow":  "workflows",
	"PauseWorkflow":      "workflows",
	"ResumeWorkflow":     "workflows",
	"RaiseEventWorkflow": "workflows",

	"Shutdown": "shutdown",

	"ScheduleJob":        "jobs",
	"GetJob":             "jobs",
	"DeleteJob":          "jobs",
	"DeleteJobsByPrefix": "jobs",
	"ListJobs":           "jobs",

	"Converse": "conversation",
}
