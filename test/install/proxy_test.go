//go:build linux

package install

import (
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// proxy passes everything on to one server, whatever host was asked for.
type proxy struct {
	target string

	mu   sync.Mutex
	seen []string
}

func newProxy(t *testing.T, target string) (*proxy, string) {
	t.Helper()
	p := &proxy{target: target}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	return p, server.URL
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.seen = append(p.seen, r.Method+" "+r.RequestURI)
	p.mu.Unlock()
	if r.Method != http.MethodConnect {
		httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: p.target}).ServeHTTP(w, r)
		return
	}
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer server.Close()
	w.WriteHeader(http.StatusOK)
	client, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	var both sync.WaitGroup
	both.Go(func() { io.Copy(server, buffered); server.(*net.TCPConn).CloseWrite() })
	both.Go(func() { io.Copy(client, server); client.(*net.TCPConn).CloseWrite() })
	both.Wait()
}

// The mirror's host has no address: only the proxy knows the way.
func TestProxy(t *testing.T) {
	for _, name := range downloaders {
		t.Run(name, func(t *testing.T) {
			m := newMirror(t)
			px, address := newProxy(t, m.url[len("http://"):])
			for _, variable := range []string{"http_proxy", "HTTP_PROXY"} {
				px.seen = nil
				p := newPersonWith(t, m, name)
				p.env = []string{"DAPR_INSTALL_BASE_URL=http://releases.invalid", variable + "=" + address}
				_, err := p.install(t)
				require.NoError(t, err)
				assert.Equal(t, is123, p.installed(t))
				assert.Equal(t, []string{
					"GET http://releases.invalid/latest/download/checksums.txt",
					"GET http://releases.invalid/latest/download/" + archiveName,
				}, px.seen)
			}
		})
	}
}

// A mirror of one's own is not behind the proxy.
func TestNoProxy(t *testing.T) {
	for _, name := range downloaders {
		for no, direct := range map[string]bool{
			"localhost": true, "elsewhere,localhost": true,
			"elsewhere": false, "host": false, "": false,
		} {
			for _, variable := range []string{"no_proxy", "NO_PROXY"} {
				t.Run(name+" "+variable+"="+no, func(t *testing.T) {
					m := newMirror(t)
					px, address := newProxy(t, m.url[len("http://"):])
					p := newPersonWith(t, m, name)
					p.env = []string{
						"DAPR_INSTALL_BASE_URL=" + strings.Replace(m.url, "127.0.0.1", "localhost", 1),
						"http_proxy=" + address, variable + "=" + no,
					}
					_, err := p.install(t)
					require.NoError(t, err)
					assert.Equal(t, is123, p.installed(t))
					assert.Equal(t, direct, len(px.seen) == 0, "%s", px.seen)
				})
			}
		}
	}
}

// newTLSMirror offers what another does, encrypted, and returns its address and
// the file with its certificate.
func newTLSMirror(t *testing.T, m *mirror) (address, certificate string) {
	t.Helper()
	server := httptest.NewTLSServer(m)
	t.Cleanup(server.Close)
	certificate = filepath.Join(t.TempDir(), "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}
	require.NoError(t, os.WriteFile(certificate, pem.EncodeToMemory(block), 0o644))
	return server.Listener.Addr().String(), certificate
}

// trusts has the person's downloaders trust a certificate.
func (p *person) trusts(t *testing.T, certificate string) {
	t.Helper()
	wgetrc := filepath.Join(t.TempDir(), "wgetrc")
	require.NoError(t, os.WriteFile(wgetrc, []byte("ca_certificate = "+certificate+"\n"), 0o644))
	p.env = append(p.env, "CURL_CA_BUNDLE="+certificate, "WGETRC="+wgetrc)
}

// Encrypted from end to end through a proxy. httptest's certificate is for
// example.com too.
func TestEncryptedProxy(t *testing.T) {
	for _, name := range []string{"curl", "wget"} {
		for _, variable := range []string{"https_proxy", "HTTPS_PROXY"} {
			t.Run(name+" "+variable, func(t *testing.T) {
				m := newMirror(t)
				target, certificate := newTLSMirror(t, m)
				px, address := newProxy(t, target)
				p := newPerson(t, m, name, "sha256sum")
				p.env = []string{"DAPR_INSTALL_BASE_URL=https://example.com", variable + "=" + address}
				p.trusts(t, certificate)
				_, err := p.install(t)
				require.NoError(t, err)
				assert.Equal(t, is123, p.installed(t))
				assert.Equal(t, []string{"CONNECT example.com:443", "CONNECT example.com:443"}, px.seen)
			})
		}
	}
}

func TestUnknownCertificate(t *testing.T) {
	for _, name := range []string{"curl", "wget"} {
		t.Run(name, func(t *testing.T) {
			m := newMirror(t)
			address, _ := newTLSMirror(t, m)
			p := newPerson(t, m, name, "sha256sum")
			p.env = []string{"DAPR_INSTALL_BASE_URL=https://" + address}
			out := p.fails(t)
			assert.Regexp(t, "(?i)certificate", out, "the downloader's own words")
			assert.Contains(t, out, "ERROR: could not download https://"+address+"/latest/download/checksums.txt: ")
			assert.Empty(t, m.requests())
		})
	}
}

// What began encrypted must not go on without.
func TestRedirectToPlain(t *testing.T) {
	m := newMirror(t)
	plain := newMirror(t)
	m.answer("checksums.txt", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, plain.url+r.URL.Path, http.StatusFound)
	})
	address, certificate := newTLSMirror(t, m)
	p := newPerson(t, m, "curl", "sha256sum")
	p.env = []string{"DAPR_INSTALL_BASE_URL=https://" + address}
	p.trusts(t, certificate)
	out := p.fails(t)
	assert.Contains(t, out, "ERROR: could not download https://"+address+"/latest/download/checksums.txt: curl ended with code ")
	assert.Empty(t, plain.requests())
}

// Releases lie elsewhere than where they are asked for, as a rule.
func TestRedirect(t *testing.T) {
	for _, name := range downloaders {
		t.Run(name, func(t *testing.T) {
			store, m := newMirror(t), newMirror(t)
			for _, file := range []string{"checksums.txt", archiveName} {
				m.answer(file, func(w http.ResponseWriter, r *http.Request) {
					http.Redirect(w, r, store.url+r.URL.Path, http.StatusFound)
				})
			}
			p := newPersonWith(t, m, name)
			_, err := p.install(t)
			require.NoError(t, err)
			assert.Equal(t, is123, p.installed(t))
		})
	}
}

// A password in the address opens the mirror, and is not shown.
func TestPassword(t *testing.T) {
	for _, name := range downloaders {
		t.Run(name, func(t *testing.T) {
			m := newMirror(t)
			for _, file := range []string{"checksums.txt", archiveName} {
				m.answer(file, func(w http.ResponseWriter, r *http.Request) {
					if user, password, _ := r.BasicAuth(); user+password != "annsecret" {
						w.Header().Set("WWW-Authenticate", `Basic realm="mirror"`)
						w.WriteHeader(http.StatusUnauthorized)
						return
					}
					http.FileServer(http.Dir(m.folder)).ServeHTTP(w, r)
				})
			}
			p := newPersonWith(t, m, name)
			_, host, _ := strings.Cut(m.url, "//")
			p.env = []string{"DAPR_INSTALL_BASE_URL=http://ann:secret@" + host}
			out, err := p.install(t)
			require.NoError(t, err)
			assert.Equal(t, is123, p.installed(t))
			assert.Contains(t, out, "Downloading "+m.url+"/latest/download/"+archiveName+"\n")

			out += p.fails(t, "9.9.9")
			p.env = []string{"DAPR_INSTALL_BASE_URL=http://ann:wrong@" + host}
			out += p.fails(t)
			for _, password := range []string{"secret", "wrong"} {
				assert.NotContains(t, out, password)
			}
		})
	}
}

// Whoever has only busybox is told that it does not look who the server is.
func TestDownloaderWarns(t *testing.T) {
	m := newMirror(t)
	p := newPerson(t, m, "busybox", "sha256sum")
	// As it warns of https. Its own TLS is too old for the server of a test.
	p.program(t, "wget", "echo 'wget: note: TLS certificate validation not implemented' >&2; exec busybox wget \"$@\"")
	out, err := p.install(t)
	require.NoError(t, err)
	assert.Equal(t, is123, p.installed(t))
	assert.Contains(t, out, "TLS certificate validation not implemented")
}
