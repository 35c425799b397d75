package daprd

import (
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	_ "modernc.org/sqlite" // the driver of what TestParity looks into

	"github.com/hyperdapr/dapr/test/servers"
)

// scene is the sidecars that the parity table calls.
type scene struct {
	// full has components of all kinds, bare has none, guarded a token and a
	// deny list.
	full, bare, guarded *sidecar
	database            string // file of the stores with prefixes and encryption
}

const token = "parity-token"

func newScene(t *testing.T) *scene {
	t.Helper()
	dir, home := t.TempDir(), t.TempDir()
	vault := filepath.Join(dir, "vault.json")
	require.NoError(t, os.WriteFile(vault, []byte(`{"open":"sesame","closed":"door","key":"`+strings.Repeat("0f", 32)+`"}`), 0o600))
	s := &scene{database: filepath.Join(dir, "state.db")}
	sqlite := func(name, prefix string) string {
		return component(name, "state.sqlite", "connectionString="+s.database, "keyPrefix="+prefix)
	}
	encrypted := component("encrypted", "state.sqlite", "connectionString="+s.database) +
		"  - name: primaryEncryptionKey\n    secretKeyRef: {name: key}\nauth:\n  secretStore: vault\n"
	resources := store("mem") + component("redis", "state.redis", "redisHost="+servers.Redis(t)) +
		component("vault", "secretstores.local.file", "secretsFile="+vault) + component("locked", "secretstores.local.file", "secretsFile="+vault) +
		sqlite("of-app", "appid") + sqlite("of-name", "name") + sqlite("of-namespace", "namespace") + sqlite("of-nobody", "none") + sqlite("of-text", "text") +
		encrypted + component("waiting", "state.redis", "redisHost=127.0.0.1:"+freePort(t))
	scopes := configuration(`
  secrets:
    scopes:
    - {storeName: vault, defaultAccess: allow, deniedSecrets: [closed]}
    - {storeName: locked, defaultAccess: deny, allowedSecrets: [open]}
`)
	namespace := []string{"NAMESPACE=prod"}
	start(t, "callee", given{home: home, env: namespace, args: []string{"--app-port", httpApp(t, echo)}})
	s.full = begin(t, "full", given{home: home, resources: resources, config: scopes, env: namespace, args: []string{"--max-body-size", "64Ki"}})
	eventually(t, "not all is open that can be", func() bool {
		a, err := s.full.try(http.MethodGet, "/v1.0/healthz/outbound", "")
		return err == nil && strings.Contains(a.body, "[component waiting: ") && !strings.Contains(a.body, "starting")
	})
	s.bare = start(t, "bare", given{})
	s.guarded = start(t, "guarded", given{resources: store("mem"), env: []string{"DAPR_API_TOKEN=" + token}, config: configuration(`
  api:
    denied:
    - {name: state, version: v1}
`)})
	return s
}

// parity is one call through both faces. A call that is refused has a status
// and an error code over HTTP and a code over gRPC; the message and the details
// are the same, unless differ says why they are not.
type parity struct {
	name    string
	on      func(*scene) *sidecar // full when nil
	token   string
	do      func(f face) (any, error)
	want    any
	refused *refusal
	differ  string
}

func bare(s *scene) *sidecar    { return s.bare }
func guarded(s *scene) *sidecar { return s.guarded }

func refuse(status int, errCode string, code codes.Code) *refusal {
	return &refusal{status: status, errCode: errCode, code: code}
}

// done is a call without a result.
func done(err error) (any, error) { return nil, err }

// after does a step that must succeed before the call.
func after(err error, call func() (any, error)) (any, error) {
	if err != nil {
		return nil, fmt.Errorf("a step before the call: %w", err)
	}
	return call()
}

// read reads a value without what differs from run to run.
func read(f face, store, key string) (any, error) {
	i, err := f.get(store, key, "")
	i.key, i.tag = "", ""
	return i, err
}

// tagOf is the current etag.
func tagOf(f face, store, key string) string {
	i, err := f.get(store, key, "")
	if err != nil {
		return err.Error()
	}
	return i.tag
}

var parities = []parity{
	// state: reading and writing
	{
		name: "a value comes back as it was saved", want: item{value: `{"n":[1,"two",null]}`, etag: true},
		do: func(f face) (any, error) {
			return after(f.save("mem", write{key: f.name() + "-a", value: `{"n":[1,"two",null]}`}), func() (any, error) { return read(f, "mem", f.name()+"-a") })
		},
	},
	{name: "a key without a value is empty", do: func(f face) (any, error) { return read(f, "mem", f.name()+"-none") }, want: item{}},
	{name: "consistency strong", do: func(f face) (any, error) { return f.get("mem", "none", "strong") }, want: item{key: "none"}},
	{
		name: "a key with a slash, a space and more", want: item{value: `1`, etag: true},
		do: func(f face) (any, error) {
			key := f.name() + "/a b+c%?#|é"
			return after(f.save("mem", write{key: key, value: `1`}), func() (any, error) { return read(f, "mem", key) })
		},
	},
	{
		name: "several values in one call", want: []item{{key: "many-2", value: `2`, etag: true}, {key: "many-none"}, {key: "many-1", value: `"one"`, etag: true}},
		do: func(f face) (any, error) {
			return after(f.save("redis", write{key: "many-1", value: `"one"`}, write{key: "many-2", value: `2`}), func() (any, error) {
				return f.bulk("redis", "many-2", "many-none", "many-1")
			})
		},
	},
	{name: "saving nothing is no error", do: func(f face) (any, error) { return done(f.save("mem")) }},
	{name: "reading no keys", do: func(f face) (any, error) { return f.bulk("mem") }, want: []item{}},
	{
		name: "a deleted value is gone", want: item{},
		do: func(f face) (any, error) {
			w := write{key: f.name() + "-gone", value: `1`}
			return after(errors.Join(f.save("mem", w), f.delete("mem", w), f.delete("mem", w)), func() (any, error) { return read(f, "mem", w.key) })
		},
	},
	{
		name: "a time to live shows in the answer", want: item{value: `1`, etag: true, ttl: true},
		do: func(f face) (any, error) {
			w := write{key: f.name() + "-ttl", value: `1`, metadata: map[string]string{"ttlInSeconds": "100"}}
			return after(f.save("mem", w), func() (any, error) { return read(f, "mem", w.key) })
		},
	},
	{
		name: "a time to live is taken back", want: item{value: `1`, etag: true},
		do: func(f face) (any, error) {
			w := write{key: f.name() + "-forever", value: `1`, metadata: map[string]string{"ttlInSeconds": "100"}}
			forever := write{key: w.key, value: `1`, metadata: map[string]string{"ttlInSeconds": "-1"}}
			return after(errors.Join(f.save("redis", w), f.save("redis", forever)), func() (any, error) { return read(f, "redis", w.key) })
		},
	},

	// state: etags
	{
		name: "an etag that matches", want: item{value: `2`, etag: true},
		do: func(f face) (any, error) {
			key := f.name() + "-etag"
			return after(f.save("redis", write{key: key, value: `1`}), func() (any, error) {
				return after(f.save("redis", write{key: key, value: `2`, etag: tagOf(f, "redis", key), concurrency: "first-write"}), func() (any, error) {
					return read(f, "redis", key)
				})
			})
		},
	},
	{
		name: "saving with an etag that does not match", refused: refuse(409, "ERR_STATE_SAVE", codes.Aborted),
		do: func(f face) (any, error) {
			w := write{key: "etag-old", value: `1`}
			return after(f.save("redis", w), func() (any, error) {
				return done(f.save("redis", write{key: w.key, value: `2`, etag: "77777", concurrency: "first-write"}))
			})
		},
	},
	{
		name: "saving with an etag that is none", refused: refuse(400, "ERR_STATE_SAVE", codes.InvalidArgument),
		do: func(f face) (any, error) {
			return done(f.save("redis", write{key: "etag-bad", value: `1`, etag: "no-number"}))
		},
	},
	{
		name: "deleting with an etag that does not match", refused: refuse(409, "ERR_STATE_DELETE", codes.Aborted),
		do: func(f face) (any, error) {
			w := write{key: "etag-delete", value: `1`}
			return after(f.save("redis", w), func() (any, error) {
				return done(f.delete("redis", write{key: w.key, etag: "77777", concurrency: "first-write"}))
			})
		},
	},
	{
		name: "deleting with an etag that is none", refused: refuse(400, "ERR_STATE_DELETE", codes.InvalidArgument),
		do: func(f face) (any, error) {
			return done(f.delete("redis", write{key: "etag-delete-bad", etag: "no-number"}))
		},
	},
	{
		name: "deleting with the etag that matches", want: item{},
		do: func(f face) (any, error) {
			w := write{key: f.name() + "-etag-delete", value: `1`}
			return after(f.save("redis", w), func() (any, error) {
				return after(f.delete("redis", write{key: w.key, etag: tagOf(f, "redis", w.key)}), func() (any, error) { return read(f, "redis", w.key) })
			})
		},
	},
	{
		name: "the last write wins over any etag", want: item{value: `2`, etag: true},
		do: func(f face) (any, error) {
			key := f.name() + "-last"
			err := errors.Join(f.save("redis", write{key: key, value: `1`}), f.save("redis", write{key: key, value: `2`, etag: "77777", concurrency: "last-write"}))
			return after(err, func() (any, error) { return read(f, "redis", key) })
		},
	},
	{
		name: "the first write creates", want: item{value: `1`, etag: true},
		do: func(f face) (any, error) {
			key := f.name() + "-first"
			return after(f.save("mem", write{key: key, value: `1`, concurrency: "first-write"}), func() (any, error) { return read(f, "mem", key) })
		},
	},
	{
		name: "a second first write is refused", refused: refuse(409, "ERR_STATE_SAVE", codes.Aborted),
		do: func(f face) (any, error) {
			w := write{key: "first-twice", value: `1`}
			return after(f.save("redis", w), func() (any, error) {
				return done(f.save("redis", write{key: w.key, value: `2`, concurrency: "first-write"}))
			})
		},
	},

	// state: transactions
	{
		name: "a transaction saves and deletes", want: []item{{key: "both-old"}, {key: "both-new", value: `{"x":1}`, etag: true}},
		do: func(f face) (any, error) {
			err := errors.Join(f.delete("of-app", write{key: "both-new"}), f.save("of-app", write{key: "both-old", value: `1`}))
			return after(err, func() (any, error) {
				err := f.transact("of-app", step{"upsert", write{key: "both-new", value: `{"x":1}`}}, step{"delete", write{key: "both-old"}})
				return after(err, func() (any, error) { return f.bulk("of-app", "both-old", "both-new") })
			})
		},
	},
	{
		name: "a transaction with an etag that does not match", refused: refuse(500, "ERR_STATE_TRANSACTION", codes.Internal),
		do: func(f face) (any, error) {
			return after(f.save("of-app", write{key: "stale", value: `1`}), func() (any, error) {
				return done(f.transact("of-app", step{"upsert", write{key: "stale", value: `2`, etag: "nope"}}))
			})
		},
	},
	{name: "a transaction without operations", do: func(f face) (any, error) { return done(f.transact("mem")) }},
	{
		name: "a transaction with an unknown operation", refused: refuse(400, "ERR_NOT_SUPPORTED_STATE_OPERATION", codes.InvalidArgument),
		do: func(f face) (any, error) { return done(f.transact("mem", step{"insert", write{key: "k", value: `1`}})) },
	},
	{
		name: "a transaction with an illegal key", refused: refuse(400, "ERR_MALFORMED_REQUEST", codes.InvalidArgument),
		do: func(f face) (any, error) {
			return done(f.transact("mem", step{"upsert", write{key: "a||b", value: `1`}}))
		},
	},

	// state: mistakes
	{name: "no store at all", on: bare, do: func(f face) (any, error) { return f.get("mem", "k", "") }, refused: refuse(500, "ERR_STATE_STORE_NOT_CONFIGURED", codes.FailedPrecondition)},
	{name: "an unknown store", do: func(f face) (any, error) { return f.get("mme", "k", "") }, refused: refuse(400, "ERR_STATE_STORE_NOT_FOUND", codes.InvalidArgument)},
	{name: "saving to an unknown store", do: func(f face) (any, error) { return done(f.save("mme", write{key: "k", value: `1`})) }, refused: refuse(400, "ERR_STATE_STORE_NOT_FOUND", codes.InvalidArgument)},
	{name: "a transaction in an unknown store", do: func(f face) (any, error) { return done(f.transact("mme")) }, refused: refuse(400, "ERR_STATE_STORE_NOT_FOUND", codes.InvalidArgument)},
	{name: "a store that is not ready", do: func(f face) (any, error) { return f.get("waiting", "k", "") }, refused: refuse(500, "ERR_STATE_STORE_NOT_CONFIGURED", codes.FailedPrecondition)},
	{name: "reading an illegal key", do: func(f face) (any, error) { return f.get("mem", "a||b", "") }, refused: refuse(400, "ERR_MALFORMED_REQUEST", codes.InvalidArgument)},
	{name: "reading illegal keys", do: func(f face) (any, error) { return f.bulk("mem", "a", "a||b") }, refused: refuse(400, "ERR_MALFORMED_REQUEST", codes.InvalidArgument)},
	{name: "saving an illegal key", do: func(f face) (any, error) { return done(f.save("mem", write{key: "a||b", value: `1`})) }, refused: refuse(400, "ERR_MALFORMED_REQUEST", codes.InvalidArgument)},
	{name: "deleting an illegal key", do: func(f face) (any, error) { return done(f.delete("mem", write{key: "a||b"})) }, refused: refuse(400, "ERR_MALFORMED_REQUEST", codes.InvalidArgument)},
	{name: "saving an empty key", do: func(f face) (any, error) { return done(f.save("mem", write{value: `1`})) }, refused: refuse(400, "ERR_MALFORMED_REQUEST", codes.InvalidArgument)},
	{
		name: "an unknown concurrency", refused: refuse(400, "ERR_MALFORMED_REQUEST", codes.InvalidArgument), differ: "gRPC has a number where HTTP has a name",
		do: func(f face) (any, error) {
			return done(f.save("mem", write{key: "k", value: `1`, concurrency: "sometimes"}))
		},
	},
	{
		name: "an unknown consistency", refused: refuse(400, "ERR_MALFORMED_REQUEST", codes.InvalidArgument), differ: "gRPC has a number where HTTP has a name",
		do: func(f face) (any, error) { return f.get("mem", "k", "sometimes") },
	},
	{
		name: "a time to live that is no number", refused: refuse(400, "ERR_MALFORMED_REQUEST", codes.InvalidArgument),
		do: func(f face) (any, error) {
			return done(f.save("mem", write{key: "k", value: `1`, metadata: map[string]string{"ttlInSeconds": "soon"}}))
		},
	},
	{name: "a query of a store without queries", do: func(f face) (any, error) { return done(f.query("mem", `{"filter":{}}`)) }, refused: refuse(500, "ERR_STATE_STORE_NOT_SUPPORTED", codes.Unimplemented)},
	{
		name: "a body over the limit", refused: refuse(400, "ERR_MALFORMED_REQUEST", codes.ResourceExhausted), differ: "gRPC refuses a message by its size before it is a request",
		do: func(f face) (any, error) {
			return done(f.save("mem", write{key: "k", value: `"` + strings.Repeat("x", 64<<10) + `"`}))
		},
	},
	{
		name: "a body just below the limit",
		do: func(f face) (any, error) {
			return done(f.save("mem", write{key: "k", value: `"` + strings.Repeat("x", 60<<10) + `"`}))
		},
	},

	// state: encryption and prefixes; see also the end of TestParity
	{
		name: "an encrypted value comes back plain", want: item{value: `{"very":"private"}`, etag: true},
		do: func(f face) (any, error) {
			return after(f.save("encrypted", write{key: "e-" + f.name(), value: `{"very":"private"}`}), func() (any, error) {
				return read(f, "encrypted", "e-"+f.name())
			})
		},
	},
	{name: "a query of an encrypted store", do: func(f face) (any, error) { return done(f.query("encrypted", `{"filter":{}}`)) }, refused: refuse(500, "ERR_STATE_STORE_NOT_SUPPORTED", codes.Unimplemented)},

	// secrets
	{name: "a secret", do: func(f face) (any, error) { return f.secret("vault", "open") }, want: map[string]string{"open": "sesame"}},
	{name: "all secrets but the denied one", do: func(f face) (any, error) { return namesOf(f.secrets("vault")) }, want: []string{"key", "open"}},
	{name: "the one secret that is allowed", do: func(f face) (any, error) { return f.secret("locked", "open") }, want: map[string]string{"open": "sesame"}},
	{name: "all secrets that are allowed", do: func(f face) (any, error) { return namesOf(f.secrets("locked")) }, want: []string{"open"}},
	{name: "a denied secret", do: func(f face) (any, error) { return f.secret("vault", "closed") }, refused: refuse(403, "ERR_PERMISSION_DENIED", codes.PermissionDenied)},
	{name: "a secret denied by default", do: func(f face) (any, error) { return f.secret("locked", "key") }, refused: refuse(403, "ERR_PERMISSION_DENIED", codes.PermissionDenied)},
	{name: "an unknown secret", do: func(f face) (any, error) { return f.secret("vault", "unknown") }, refused: refuse(500, "ERR_SECRET_GET", codes.Internal)},
	{name: "an unknown secret store", do: func(f face) (any, error) { return f.secret("valut", "open") }, refused: refuse(401, "ERR_SECRET_STORE_NOT_FOUND", codes.InvalidArgument)},
	{name: "all secrets of an unknown store", do: func(f face) (any, error) { return f.secrets("valut") }, refused: refuse(401, "ERR_SECRET_STORE_NOT_FOUND", codes.InvalidArgument)},
	{name: "no secret store at all", on: bare, do: func(f face) (any, error) { return f.secret("vault", "open") }, refused: refuse(500, "ERR_SECRET_STORES_NOT_CONFIGURED", codes.FailedPrecondition)},

	// metadata
	{
		name: "metadata that was set", want: "blue",
		do: func(f face) (any, error) {
			return after(f.setMetadata("colour-"+f.name(), "blue"), func() (any, error) {
				m, err := f.metadata()
				return m.GetExtendedMetadata()["colour-"+f.name()], err
			})
		},
	},

	// invocation
	{
		name: "a call of an app", want: reply{body: "POST /orders/7?a=1&b=two hello", contentType: "text/plain", header: map[string]string{"X-Out": "in"}},
		do: func(f face) (any, error) {
			return f.invoke("callee", invocation{verb: "POST", method: "orders/7", query: "a=1&b=two", body: "hello", contentType: "text/plain", header: map[string]string{"x-in": "in"}})
		},
	},
	{
		name: "the app in its namespace", want: "GET /x ",
		do: func(f face) (any, error) {
			r, err := f.invoke("callee.prod", invocation{verb: "GET", method: "x"})
			return r.body, err
		},
	},
	{name: "an unknown app", do: func(f face) (any, error) { return f.invoke("nobody", invocation{verb: "GET", method: "x"}) }, refused: refuse(500, "ERR_DIRECT_INVOKE", codes.Internal)},
	{name: "a name with two dots", do: func(f face) (any, error) { return f.invoke("a.b.c", invocation{verb: "GET", method: "x"}) }, refused: refuse(500, "ERR_DIRECT_INVOKE", codes.Internal)},
	{name: "an app that takes no calls", do: func(f face) (any, error) { return f.invoke("full", invocation{verb: "GET", method: "x"}) }, refused: refuse(500, "ERR_DIRECT_INVOKE", codes.Internal)},
	refusedByApp(400, codes.Internal), refusedByApp(401, codes.Unauthenticated), refusedByApp(403, codes.PermissionDenied), refusedByApp(404, codes.NotFound),
	refusedByApp(409, codes.AlreadyExists), refusedByApp(418, codes.Unknown), refusedByApp(500, codes.Unknown), refusedByApp(503, codes.Unavailable),

	// token and deny list
	{name: "no token", on: guarded, do: func(f face) (any, error) { return f.metadata() }, refused: refuse(401, "", codes.Unauthenticated)},
	{name: "a wrong token", on: guarded, token: "wrong", do: func(f face) (any, error) { return f.metadata() }, refused: refuse(401, "", codes.Unauthenticated)},
	{
		name: "the right token", on: guarded, token: token, want: "guarded",
		do: func(f face) (any, error) { m, err := f.metadata(); return m.GetId(), err },
	},
	{
		name: "a denied operation", on: guarded, token: token, refused: refuse(404, "ERR_DIRECT_INVOKE", codes.Unimplemented),
		do: func(f face) (any, error) { return f.get("mem", "k", "") }, differ: "over HTTP a denied path is as one that does not exist: it falls to the invocation of an app",
	},
}

func refusedByApp(status int, code codes.Code) parity {
	return parity{
		name: fmt.Sprintf("an app that answers %d", status), refused: refuse(status, "", code),
		differ: "over HTTP the app's answer passes as it is; a gRPC status has its own words",
		do: func(f face) (any, error) {
			return f.invoke("callee", invocation{verb: "GET", method: fmt.Sprintf("status/%d", status)})
		},
	}
}

func namesOf(secrets map[string]map[string]string, err error) ([]string, error) {
	names := []string{}
	for name := range secrets {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, err
}

func TestParity(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for _, p := range parities {
		t.Run(p.name, func(t *testing.T) {
			on := s.full
			if p.on != nil {
				on = p.on(s)
			}
			got := map[string]*refusal{}
			for _, f := range []face{httpFace{on, p.token}, grpcFace{on, p.token}} {
				value, err := p.do(f)
				if p.refused == nil {
					require.NoError(t, err, f.name())
					require.Equal(t, p.want, value, f.name())
					continue
				}
				var r *refusal
				require.ErrorAs(t, err, &r, f.name())
				got[f.name()] = r
			}
			if p.refused == nil {
				return
			}
			h, g := got["http"], got["grpc"]
			require.Equal(t, p.refused.status, h.status, h)
			require.Equal(t, p.refused.errCode, h.errCode, h)
			require.Equal(t, p.refused.code, g.code, g)
			require.NotEmpty(t, h.message)
			require.NotEmpty(t, g.message)
			if p.differ == "" {
				require.Equal(t, h.message, g.message)
				require.Equal(t, h.details, g.details)
			}
		})
	}

	t.Run("metadata is the same in every field", func(t *testing.T) {
		h, err := httpFace{s: s.full}.metadata()
		require.NoError(t, err)
		g, err := grpcFace{s: s.full}.metadata()
		require.NoError(t, err)
		require.True(t, proto.Equal(h, g), "%v\n%v", h, g)
		require.Len(t, h.GetRegisteredComponents(), 10, "all but the one that waits")
	})
	t.Run("the stores' keys have their prefixes", func(t *testing.T) {
		for _, f := range []face{httpFace{s: s.full}, grpcFace{s: s.full}} {
			for _, name := range []string{"of-app", "of-name", "of-namespace", "of-nobody", "of-text"} {
				require.NoError(t, f.save(name, write{key: "where-" + f.name(), value: `1`}))
			}
		}
		for _, f := range []string{"http", "grpc"} {
			require.Equal(t, []string{
				"full||where-" + f, "of-name||where-" + f, "prod.full||where-" + f, "text||where-" + f, "where-" + f,
			}, column(t, s.database, "SELECT key FROM state WHERE key LIKE '%where-"+f+"' ORDER BY key"))
		}
	})
	t.Run("what one face encrypts the other reads, and nobody else", func(t *testing.T) {
		for saved, reader := range map[string]face{"e-grpc": httpFace{s: s.full}, "e-http": grpcFace{s: s.full}} {
			i, err := reader.get("encrypted", saved, "")
			require.NoError(t, err)
			require.JSONEq(t, `{"very":"private"}`, i.value)
		}
		values := column(t, s.database, "SELECT value FROM state WHERE key LIKE 'full||e-%'")
		require.Len(t, values, 2)
		for _, v := range values {
			require.NotContains(t, v, "private")
		}
	})
}

func TestShutdownThroughBothFaces(t *testing.T) {
	t.Parallel()
	for _, f := range []func(*sidecar) face{
		func(s *sidecar) face { return httpFace{s: s} },
		func(s *sidecar) face { return grpcFace{s: s} },
	} {
		s := start(t, "a", given{})
		require.NoError(t, f(s).shutdown())
		require.Zero(t, s.wait())
		s.leftNothing()
		require.Len(t, s.lines("Dapr is shutting down"), 1)
	}
}

// column reads one column of a database.
func column(t *testing.T, file, query string) []string {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?mode=ro")
	require.NoError(t, err)
	defer db.Close()
	rows, err := db.Query(query)
	require.NoError(t, err)
	defer rows.Close()
	var values []string
	for rows.Next() {
		var v string
		require.NoError(t, rows.Scan(&v))
		values = append(values, v)
	}
	require.NoError(t, rows.Err())
	return values
}
