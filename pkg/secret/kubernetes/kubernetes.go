// Package kubernetes is the driver for Kubernetes Secrets. The component
// library's links the whole Kubernetes client, several times the size of all
// other drivers together; two GET requests need none of it.
package kubernetes

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	contribmetadata "github.com/dapr/components-contrib/metadata"
	"github.com/dapr/components-contrib/secretstores"
)

// accountFolder is where Kubernetes mounts a pod's service account.
const accountFolder = "/var/run/secrets/kubernetes.io/serviceaccount"

// maxAnswer bounds what is read of the API server: a Secret holds at most 1 MiB,
// a namespace can hold many.
const maxAnswer = 64 << 20

// Store reads Secrets of the pod's own namespace, or of the one that a request's
// metadata names, as far as the service account's rights go.
type Store struct {
	folder    string // of the service account
	lookupEnv func(string) (string, bool)
	base      url.URL
	client    *http.Client
	namespace string
}

var _ secretstores.SecretStore = (*Store)(nil)

// New returns a store that Init connects.
func New(*slog.Logger) secretstores.SecretStore {
	return &Store{folder: accountFolder, lookupEnv: os.LookupEnv} //nolint:forbidigo // a driver's constructor is handed nothing
}

// Init implements secretstores.SecretStore.
func (s *Store) Init(_ context.Context, md secretstores.Metadata) error {
	host, _ := s.lookupEnv("KUBERNETES_SERVICE_HOST")
	port, _ := s.lookupEnv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return errors.New("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: this store works only in a pod")
	}
	ca, err := os.ReadFile(filepath.Join(s.folder, "ca.crt"))
	if err != nil {
		return fmt.Errorf("read the service account's CA: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return fmt.Errorf("%s holds no PEM certificate", filepath.Join(s.folder, "ca.crt"))
	}
	s.namespace = md.Properties["defaultNamespace"]
	if s.namespace == "" {
		own, err := os.ReadFile(filepath.Join(s.folder, "namespace"))
		if err != nil {
			return fmt.Errorf("read the pod's namespace: %w", err)
		}
		s.namespace = strings.TrimSpace(string(own))
	}
	s.base = url.URL{Scheme: "https", Host: net.JoinHostPort(host, port), Path: "/api/v1/namespaces/"}
	s.client = &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute},
	}
	return nil
}

// secret is the part of a Secret that matters here.
type secret struct {
	Metadata struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Data map[string][]byte `json:"data"`
}

func (s secret) values() map[string]string {
	values := make(map[string]string, len(s.Data))
	for k, v := range s.Data {
		values[k] = string(v)
	}
	return values
}

// GetSecret implements secretstores.SecretStore.
func (s *Store) GetSecret(ctx context.Context, req secretstores.GetSecretRequest) (secretstores.GetSecretResponse, error) {
	var found secret
	if err := checkName("secret", req.Name); err != nil {
		return secretstores.GetSecretResponse{}, err
	}
	if err := s.get(ctx, req.Metadata, "/"+req.Name, &found); err != nil {
		return secretstores.GetSecretResponse{}, err
	}
	return secretstores.GetSecretResponse{Data: found.values()}, nil
}

// BulkGetSecret implements secretstores.SecretStore.
func (s *Store) BulkGetSecret(ctx context.Context, req secretstores.BulkGetSecretRequest) (secretstores.BulkGetSecretResponse, error) {
	var list struct {
		Items []secret `json:"items"`
	}
	if err := s.get(ctx, req.Metadata, "", &list); err != nil {
		return secretstores.BulkGetSecretResponse{}, err
	}
	res := secretstores.BulkGetSecretResponse{Data: make(map[string]map[string]string, len(list.Items))}
	for _, item := range list.Items {
		res.Data[item.Metadata.Name] = item.values()
	}
	return res, nil
}

var names = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`)

// checkName keeps a name from leading to another place of the API.
func checkName(what, name string) error {
	if !names.MatchString(name) || strings.Contains(name, "..") {
		return fmt.Errorf("%s %q is not a name in Kubernetes: use small letters, digits, dashes and dots", what, name)
	}
	return nil
}

// get reads the namespace's secrets, below them path, into v.
func (s *Store) get(ctx context.Context, md map[string]string, path string, v any) error {
	namespace := s.namespace
	if other := md["namespace"]; other != "" {
		namespace = other
	}
	if err := checkName("namespace", namespace); err != nil {
		return err
	}
	target := s.base.JoinPath(namespace, "secrets"+path)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), http.NoBody)
	if err != nil {
		return err
	}
	// Read each time: the kubelet replaces the token while the pod runs.
	token, err := os.ReadFile(filepath.Join(s.folder, "token"))
	if err != nil {
		return fmt.Errorf("read the service account's token: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	res, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the API server's answer: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		var status struct {
			Message string `json:"message"`
		}
		if json.Unmarshal(body, &status) != nil || status.Message == "" {
			status.Message = res.Status
		}
		return errors.New("the API server refused: " + status.Message)
	}
	return json.Unmarshal(body, v)
}

// Features implements secretstores.SecretStore.
func (*Store) Features() []secretstores.Feature { return nil }

// GetComponentMetadata implements secretstores.SecretStore.
func (*Store) GetComponentMetadata() contribmetadata.MetadataMap {
	return contribmetadata.MetadataMap{"defaultNamespace": contribmetadata.MetadataField{Type: "string"}}
}

// Close implements secretstores.SecretStore.
func (s *Store) Close() error {
	if s.client != nil {
		s.client.CloseIdleConnections()
	}
	return nil
}
