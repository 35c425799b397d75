package standalone

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// api speaks to the HTTP API of one sidecar on this machine.
type api struct {
	client *http.Client
	token  string
}

func newAPI(network, address, token string) *api {
	client := clientOf(network, address)
	client.Timeout = 5 * time.Second
	return &api{client: client, token: token}
}

func (a *api) do(ctx context.Context, method, path, body string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if a.token != "" {
		req.Header.Set("dapr-api-token", a.token)
	}
	return a.client.Do(req)
}

// outbound tells whether the app can call out through the sidecar. When it
// cannot yet, reason is what the sidecar says about it; err means that there is
// no sidecar to ask.
func (a *api) outbound(ctx context.Context) (ready bool, reason string, err error) {
	res, err := a.do(ctx, http.MethodGet, "/v1.0/healthz/outbound", "")
	if err != nil {
		return false, "", err
	}
	defer res.Body.Close()
	if res.StatusCode < 300 {
		return true, "", nil
	}
	return false, problem(res), nil
}

// setMetadata sets one value of the sidecar's extended metadata.
func (a *api) setMetadata(ctx context.Context, key, value string) error {
	res, err := a.do(ctx, http.MethodPut, "/v1.0/metadata/"+url.PathEscape(key), value)
	if err != nil {
		return fmt.Errorf("set metadata %s: %w", key, err)
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		return fmt.Errorf("set metadata %s: %w", key, errors.New(problem(res)))
	}
	return nil
}

// problem is the message of an error's body, or its status.
func problem(res *http.Response) string {
	data, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	var body struct{ Message string }
	if err == nil && json.Unmarshal(data, &body) == nil && body.Message != "" {
		return body.Message
	}
	return "status " + res.Status
}
