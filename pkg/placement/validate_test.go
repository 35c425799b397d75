package placement

import (
	"testing"

	placementv1 "github.com/dapr/dapr/pkg/proto/placement/v1"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hyperdapr/dapr/pkg/security"
)

func TestValidate(t *testing.T) {
	a := &security.ID{TrustDomain: "public", Namespace: "shop", AppID: "a"}
	for _, c := range []struct {
		name   string
		host   *placementv1.Host
		caller *security.ID
		code   codes.Code
		want   string
	}{
		{"good", newHost("shop", "a", "Cart"), nil, codes.OK, ""},
		{"proved", newHost("shop", "a", "Cart", "dapr.internal.shop.a.workflow"), a, codes.OK, ""},
		{"no id", newHost("shop", ""), nil, codes.InvalidArgument, "the report has no id"},
		{"no namespace", newHost("", "a"), nil, codes.InvalidArgument, `the report of app "a" has no namespace`},
		{"no name", &placementv1.Host{Id: "a", Namespace: "shop", Entities: []string{"Cart"}}, nil, codes.InvalidArgument, "has actors but no name"},
		{"no name and no actors", &placementv1.Host{Id: "a", Namespace: "shop"}, nil, codes.OK, ""},
		{"no type", newHost("shop", "a", ""), nil, codes.InvalidArgument, "an actor type without a name"},
		{"another app", newHost("shop", "b"), a, codes.PermissionDenied, `proved to be app "a" and says that it is "b"`},
		{"another namespace", newHost("office", "a"), a, codes.PermissionDenied, `proved to be of namespace "shop" and says that it is of "office"`},
		{"another app's workflows", newHost("shop", "a", "dapr.internal.shop.b.workflow"), nil, codes.PermissionDenied, `actor type "dapr.internal.shop.b.workflow" is not one of app "a" in namespace "shop"`},
		{"another namespace's workflows", newHost("shop", "a", "dapr.internal.office.a.workflow"), a, codes.PermissionDenied, "is not one of app"},
		{"a longer app's workflows", newHost("shop", "a", "dapr.internal.shop.ab.workflow"), a, codes.PermissionDenied, "is not one of app"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := validate(c.host, c.caller)
			require.Equal(t, c.code, status.Code(err))
			if c.want != "" {
				require.ErrorContains(t, err, c.want)
			}
		})
	}
}
