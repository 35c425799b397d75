package invoke

import (
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/hyperdapr/dapr/pkg/security"
)

func TestACallerIsWhoItsCertificateSays(t *testing.T) {
	id := security.ID{TrustDomain: "public", Namespace: "shop", AppID: "till"}
	proved := peer.NewContext(t.Context(), &peer.Peer{AuthInfo: credentials.TLSInfo{State: tls.ConnectionState{
		PeerCertificates: []*x509.Certificate{{URIs: []*url.URL{id.URL()}}},
	}}})
	for name, tt := range map[string]struct {
		mtls bool
		says claim
		ok   bool
	}{
		"the same":          {true, claim{"till", "shop"}, true},
		"nothing":           {true, claim{}, true},
		"no namespace":      {true, claim{appID: "till"}, true},
		"another app":       {true, claim{"boss", "shop"}, false},
		"another namespace": {true, claim{"till", "bank"}, false},
		"both, in one":      {true, claim{appID: "till,boss"}, false},
		"without mTLS":      {false, claim{"boss", "bank"}, true},
	} {
		ctx := t.Context()
		if tt.mtls {
			ctx = proved
		}
		err := new(Block).admit(ctx, tt.says, "order", "GET")
		if tt.ok {
			require.NoError(t, err, name)
			continue
		}
		require.Equal(t, codes.PermissionDenied, status.Code(err), name)
		require.ErrorContains(t, err, "but its certificate is that of "+id.String(), name)
	}
}
