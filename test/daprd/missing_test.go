package daprd

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

func TestBlocksThatAreMissingAreNamed(t *testing.T) {
	t.Parallel()
	const said = `the building block "publish and subscribe" is not part of this version of the runtime`
	s := start(t, "a", given{args: []string{"--app-port", httpApp(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "the app: "+r.URL.Path)
	})}})
	for _, tt := range []struct{ method, path, block string }{
		{"POST", "/v1.0/publish/pubsub/topic", "publish and subscribe"},
		{"POST", "/v1.0-alpha1/publish/bulk/pubsub/topic", "publish and subscribe"},
		{"PUT", "/v1.0/actors/kind/1/state", "actors"},
		{"POST", "/v1.0/bindings/queue", "bindings"},
		{"POST", "/v1.0-alpha1/lock/store", "distributed lock"},
		{"POST", "/v1.0-alpha1/unlock/store", "distributed lock"},
		{"PUT", "/v1.0-alpha1/crypto/vault/encrypt", "cryptography"},
		{"POST", "/v1.0-alpha1/subtlecrypto/vault/getkey", "cryptography"},
		{"POST", "/v1.0/jobs/j", "jobs"},
		{"GET", "/v1.0/configuration/store", "configuration"},
		{"POST", "/v1.0-alpha2/conversation/llm/converse", "conversation"},
		{"POST", "/v1.0-beta1/workflows/dapr/w/start", "workflow"},
	} {
		a := s.call(tt.method, tt.path, "{}")
		require.Equal(t, http.StatusNotImplemented, a.status, "%s: %s", tt.path, a.body)
		var body struct{ ErrorCode, Message string }
		require.NoError(t, json.Unmarshal([]byte(a.body), &body))
		require.Equal(t, "ERR_NOT_IMPLEMENTED", body.ErrorCode)
		require.Equal(t, `the building block "`+tt.block+`" is not part of this version of the runtime`, body.Message)
	}

	// Other paths, and those of an app that is named, are as they were.
	for _, path := range []string{"/publish/pubsub/topic", "/v1.0/publisher", "/v1.0"} {
		require.Equal(t, http.StatusNotFound, s.call("POST", path, "").status, path)
	}
	require.Equal(t, "the app: /v1.0/publish/x", s.call("POST", "/v1.0/publish/x", "", "dapr-app-id: a").body)

	_, err := s.PublishEvent(t.Context(), &runtimev1.PublishEventRequest{PubsubName: "pubsub", Topic: "topic"})
	require.Equal(t, codes.Unimplemented, status.Code(err))
	require.Equal(t, said, status.Convert(err).Message())
	stream, err := s.SubscribeTopicEventsAlpha1(t.Context())
	require.NoError(t, err)
	_, err = stream.Recv()
	require.Equal(t, said, status.Convert(err).Message())
}

// Every method of the API either answers or names the block that is missing.
func TestEveryMethodAnswersOrNamesItsBlock(t *testing.T) {
	t.Parallel()
	s := start(t, "a", given{})
	for _, m := range runtimev1.Dapr_ServiceDesc.Methods {
		if m.MethodName == "Shutdown" {
			continue
		}
		err := s.conn.Invoke(t.Context(), "/"+runtimev1.Dapr_ServiceDesc.ServiceName+"/"+m.MethodName, &emptypb.Empty{}, &emptypb.Empty{})
		if status.Code(err) == codes.Unimplemented {
			require.Contains(t, status.Convert(err).Message(), "the building block", m.MethodName)
		}
	}
}
