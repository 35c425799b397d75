package standalone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/hyperdapr/dapr/pkg/instances"
	"github.com/hyperdapr/dapr/pkg/nearest"
)

// Call is one call of an app through its own sidecar.
type Call struct {
	AppID string
	// Method is the path after the app's address, with its query.
	Method string
	// Verb is the HTTP method.
	Verb string
	Data []byte
	// SocketDir, when set, is the folder of the sidecar's unix domain sockets.
	SocketDir string
	// Token is the sidecar's API token, or "".
	Token string
}

// ErrAppNotFound is wrapped when no sidecar of the app runs on this machine.
var ErrAppNotFound = errors.New("not found")

// Invoke calls an app and returns the body of its answer, which the caller
// closes. An answer other than 2xx and 3xx is an error.
func Invoke(ctx context.Context, l Layout, call Call) (io.ReadCloser, error) {
	client, base, err := clientFor(l, call)
	if err != nil {
		return nil, err
	}
	// As the user typed it: a slash and a query are the method's own.
	address := base + "/v1.0/invoke/" + url.PathEscape(call.AppID) + "/method/" + strings.TrimPrefix(call.Method, "/")
	req, err := http.NewRequestWithContext(ctx, strings.ToUpper(call.Verb), address, strings.NewReader(string(call.Data)))
	if err != nil {
		return nil, fmt.Errorf("error invoking app %s: %w", call.AppID, err)
	}
	req.Header.Set("Content-Type", "application/json")
	if call.Token != "" {
		req.Header.Set("dapr-api-token", call.Token)
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("error invoking app %s: %w", call.AppID, err)
	}
	if res.StatusCode >= 200 && res.StatusCode < 400 {
		return res.Body, nil
	}
	defer res.Body.Close()
	reason, err := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	if err != nil || len(reason) == 0 {
		return nil, fmt.Errorf("error invoking app %s: %s", call.AppID, res.Status)
	}
	return nil, fmt.Errorf("error invoking app %s: %s: %s", call.AppID, res.Status, strings.TrimSpace(string(reason)))
}

func clientFor(l Layout, call Call) (client *http.Client, base string, err error) {
	if call.SocketDir != "" {
		return clientOf("unix", httpSocket(call.SocketDir, call.AppID)), "http://localhost", nil
	}
	running, err := instances.List(l.Instances())
	if err != nil {
		return nil, "", err
	}
	i := slices.IndexFunc(running, func(i instances.Instance) bool { return i.AppID == call.AppID })
	if i < 0 {
		return nil, "", appNotFound(call.AppID, running)
	}
	if dir := running[i].SocketDir; dir != "" {
		return clientOf("unix", httpSocket(dir, call.AppID)), "http://localhost", nil
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(running[i].HTTPPort))
	return clientOf("tcp", address), "http://" + address, nil
}

// clientOf dials one address whatever the URL says. It has a transport of its
// own, so that no proxy from the environment comes between, and it leaves
// redirects to the user, because they are the app's.
func clientOf(network, address string) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, address)
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func httpSocket(dir, appID string) string {
	return filepath.Join(dir, "dapr-"+appID+"-http.socket")
}

func appNotFound(appID string, running []instances.Instance) error {
	if len(running) == 0 {
		return fmt.Errorf("app ID %s %w: no app runs on this machine; see \"dapr run --help\"", appID, ErrAppNotFound)
	}
	var ids []string
	for _, i := range running {
		ids = append(ids, i.AppID)
	}
	ids = slices.Compact(ids)
	if near := nearest.Name(appID, ids); near != "" {
		return fmt.Errorf("app ID %s %w; did you mean %s?", appID, ErrAppNotFound, near)
	}
	return fmt.Errorf("app ID %s %w; running are %s", appID, ErrAppNotFound, strings.Join(ids, ", "))
}
