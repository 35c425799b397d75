package peer

import (
	"net/http"
	"strings"
	"testing"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	internalsv1 "github.com/dapr/dapr/pkg/proto/internals/v1"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/hyperdapr/dapr/pkg/app"
)

func list(values ...string) *internalsv1.ListStringValue {
	return &internalsv1.ListStringValue{Values: values}
}

func payload(seq uint64, data string) *commonv1.StreamPayload {
	return &commonv1.StreamPayload{Data: []byte(data), Seq: seq}
}

// Each request and what the generated types make of it, either way.
var requests = map[string]struct {
	request *app.Request
	message *internalsv1.InternalInvokeRequest
}{
	"empty": {
		&app.Request{Header: http.Header{}},
		&internalsv1.InternalInvokeRequest{Ver: internalsv1.APIVersion_V1, Message: &commonv1.InvokeRequest{}},
	},
	"everything": {
		&app.Request{
			Verb: "PATCH", Path: "a/b c", Query: "x=1&y=%20", DataType: "type/x",
			Header: http.Header{"Content-Type": {"text/plain"}, "X-One": {"1"}, "X-Many": {"a", "", "ü"}},
		},
		&internalsv1.InternalInvokeRequest{
			Ver:      internalsv1.APIVersion_V1,
			Metadata: map[string]*internalsv1.ListStringValue{"Content-Type": list("text/plain"), "X-One": list("1"), "X-Many": list("a", "", "ü")},
			Message: &commonv1.InvokeRequest{
				Method: "a/b c", ContentType: "text/plain", Data: &anypb.Any{TypeUrl: "type/x"},
				HttpExtension: &commonv1.HTTPExtension{Verb: commonv1.HTTPExtension_PATCH, Querystring: "x=1&y=%20"},
			},
		},
	},
}

func TestRequestOnTheWire(t *testing.T) {
	for name, tt := range requests {
		t.Run(name, func(t *testing.T) {
			encoded := appendRequest(nil, tt.request, nil)
			require.Len(t, encoded, sizeRequest(tt.request, nil))
			var decoded internalsv1.InternalInvokeRequest
			require.NoError(t, proto.Unmarshal(encoded, &decoded))
			requireEqual(t, tt.message, &decoded)

			encoded, err := proto.Marshal(tt.message)
			require.NoError(t, err)
			got, err := parseRequest(string(encoded))
			require.NoError(t, err)
			require.Equal(t, tt.request, got)
		})
	}
}

func TestUnaryRequestCarriesItsData(t *testing.T) {
	r := &app.Request{Header: http.Header{}, Path: "m", DataType: "type/x"}
	encoded := appendRequest(nil, r, []byte("hello"))
	require.Len(t, encoded, sizeRequest(r, []byte("hello")))
	var decoded internalsv1.InternalInvokeRequest
	require.NoError(t, proto.Unmarshal(encoded, &decoded))
	require.Equal(t, "hello", string(decoded.GetMessage().GetData().GetValue()))
	got, err := parseRequest(string(encoded))
	require.NoError(t, err)
	require.Equal(t, "hello", string(got.Data))
	require.Equal(t, "type/x", got.DataType)
}

var responses = map[string]struct {
	response *app.Response
	message  *internalsv1.InternalInvokeResponse
}{
	"HTTP": {
		&app.Response{Status: 404, Header: http.Header{"Content-Type": {"text/plain"}, "Set-Cookie": {"a=1", "b=2"}}},
		&internalsv1.InternalInvokeResponse{
			Status:  &internalsv1.Status{Code: 404},
			Headers: map[string]*internalsv1.ListStringValue{"Content-Type": list("text/plain"), "Set-Cookie": list("a=1", "b=2")},
			Message: &commonv1.InvokeResponse{ContentType: "text/plain"},
		},
	},
	"gRPC": {
		&app.Response{
			Status: 5, Message: "none", Details: []*anypb.Any{{TypeUrl: "t/d", Value: []byte("d")}},
			Header: http.Header{"X-H": {"1"}}, Trailer: http.Header{"X-T": {"2"}}, DataType: "type/x",
		},
		&internalsv1.InternalInvokeResponse{
			Status:   &internalsv1.Status{Code: 5, Message: "none", Details: []*anypb.Any{{TypeUrl: "t/d", Value: []byte("d")}}},
			Headers:  map[string]*internalsv1.ListStringValue{"X-H": list("1")},
			Trailers: map[string]*internalsv1.ListStringValue{"X-T": list("2")},
			Message:  &commonv1.InvokeResponse{Data: &anypb.Any{TypeUrl: "type/x"}},
		},
	},
	"OK of gRPC": {
		&app.Response{Header: http.Header{}},
		&internalsv1.InternalInvokeResponse{Status: &internalsv1.Status{}},
	},
}

func TestResponseOnTheWire(t *testing.T) {
	for name, tt := range responses {
		t.Run(name, func(t *testing.T) {
			encoded := appendResponse(nil, tt.response, nil)
			require.Len(t, encoded, sizeResponse(tt.response, nil))
			var decoded internalsv1.InternalInvokeResponse
			require.NoError(t, proto.Unmarshal(encoded, &decoded))
			requireEqual(t, tt.message, &decoded)

			encoded, err := proto.Marshal(tt.message)
			require.NoError(t, err)
			got, err := parseResponse(string(encoded))
			require.NoError(t, err)
			require.Len(t, got.Details, len(tt.response.Details))
			for i := range got.Details {
				requireEqual(t, tt.response.Details[i], got.Details[i])
			}
			want := *tt.response
			want.Details, got.Details = nil, nil // compared: messages have hidden parts
			require.Equal(t, &want, got)
		})
	}
}

func TestHeaderNamesBecomeCanonical(t *testing.T) {
	encoded, err := proto.Marshal(&internalsv1.InternalInvokeRequest{Metadata: map[string]*internalsv1.ListStringValue{"x-lower": list("1")}})
	require.NoError(t, err)
	got, err := parseRequest(string(encoded))
	require.NoError(t, err)
	require.Equal(t, http.Header{"X-Lower": {"1"}}, got.Header)
}

func TestValuesAreMadeValidUTF8(t *testing.T) {
	shared := []string{"a\xffb"}
	h := http.Header{"X": shared, "Y": {"ü"}}
	validUTF8(h)
	require.Equal(t, http.Header{"X": {"a\uFFFDb"}, "Y": {"ü"}}, h)
	require.Equal(t, "a\xffb", shared[0], "the caller's values stay")
}

func TestVerbs(t *testing.T) {
	require.NoError(t, checkVerb("GET"))
	require.NoError(t, checkVerb(""))
	require.ErrorContains(t, checkVerb("PROPFIND"), `HTTP method "PROPFIND" cannot be carried between sidecars`)
}

// Whatever comes in, parsing ends with an error or a message; where the protobuf
// library reads it too, both have read the same.
func FuzzParse(f *testing.F) {
	for _, tt := range requests {
		f.Add(appendRequest(nil, tt.request, []byte("data")))
	}
	for _, tt := range responses {
		f.Add(appendResponse(nil, tt.response, []byte("data")))
	}
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Add([]byte(strings.Repeat("\xff", 12)))
	f.Fuzz(func(t *testing.T, in []byte) {
		var message internalsv1.InternalInvokeRequest
		valid := proto.Unmarshal(in, &message) == nil
		got, err := parseRequest(string(in))
		if valid && err == nil {
			require.Equal(t, message.GetMessage().GetMethod(), got.Path)
			require.Equal(t, message.GetMessage().GetHttpExtension().GetQuerystring(), got.Query)
		}
		_, _ = parseResponse(string(in))
	})
}

func requireEqual(t *testing.T, want, got proto.Message) {
	t.Helper()
	require.True(t, proto.Equal(want, got), "want %v\ngot  %v", want, got)
}
