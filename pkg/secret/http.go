package secret

import (
	"net/http"

	"github.com/hyperdapr/dapr/pkg/httpapi"
)

// Routes are the operations of the HTTP API.
func (b *Block) Routes() []httpapi.Route {
	return []httpapi.Route{
		{
			Methods: []string{http.MethodGet}, Path: "/v1.0/secrets/{store}/bulk",
			Group: "secrets", Version: "v1", Name: "GetBulkSecret", Handler: b.getBulkSecret,
		},
		{
			Methods: []string{http.MethodGet}, Path: "/v1.0/secrets/{store}/{key}",
			Group: "secrets", Version: "v1", Name: "GetSecret", Handler: b.getSecret,
		},
	}
}

func (b *Block) getSecret(w http.ResponseWriter, r *http.Request) error {
	values, err := b.Get(r.Context(), httpapi.Param(r, "store"), httpapi.Param(r, "key"), httpapi.Metadata(r))
	if err != nil {
		return err
	}
	if values == nil {
		return httpapi.Empty(w)
	}
	return httpapi.WriteJSON(w, http.StatusOK, values)
}

func (b *Block) getBulkSecret(w http.ResponseWriter, r *http.Request) error {
	secrets, err := b.BulkGet(r.Context(), httpapi.Param(r, "store"), httpapi.Metadata(r))
	if err != nil {
		return err
	}
	if secrets == nil {
		return httpapi.Empty(w)
	}
	return httpapi.WriteJSON(w, http.StatusOK, secrets)
}
