package state_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/hyperdapr/dapr/pkg/apierror"
	"github.com/hyperdapr/dapr/pkg/component"
	"github.com/hyperdapr/dapr/pkg/state"
	"github.com/hyperdapr/dapr/pkg/state/statetest"
	"github.com/hyperdapr/dapr/pkg/telemetry"
)

func TestConformance(t *testing.T) {
	statetest.Run(t, inMemory("statestore"))
}

// requireError checks both faces of an API error.
func requireError(t *testing.T, err error, code string, status int, grpc codes.Code, part string) {
	t.Helper()
	var e *apierror.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, code, e.Code)
	assert.Equal(t, status, e.HTTP)
	assert.Equal(t, grpc, e.GRPC)
	assert.Contains(t, e.Message, part)
}

func TestStoreThatIsNotThere(t *testing.T) {
	b := newBlock(t)
	_, err := b.Get(t.Context(), "statestore", state.GetRequest{Key: "k"})
	requireError(t, err, "ERR_STATE_STORE_NOT_CONFIGURED", http.StatusInternalServerError, codes.FailedPrecondition, "no state store is configured")

	open(t, b, inMemory("statestore"))
	_, err = b.Get(t.Context(), "statestoer", state.GetRequest{Key: "k"})
	requireError(t, err, "ERR_STATE_STORE_NOT_FOUND", http.StatusBadRequest, codes.InvalidArgument, "did you mean statestore?")

	b.Pend("later", errors.New("connection refused"))
	_, err = b.Get(t.Context(), "later", state.GetRequest{Key: "k"})
	requireError(t, err, "ERR_STATE_STORE_NOT_CONFIGURED", http.StatusInternalServerError, codes.FailedPrecondition, "later is not ready: connection refused")

	open(t, b, inMemory("later"))
	get(t, b, "later", "k")
}

func TestOpenErrors(t *testing.T) {
	const hex16, secret = "00112233445566778899aabbccddeeff", "not-to-be-shown"
	for name, tc := range map[string]struct {
		spec component.Spec
		want string
	}{
		"prefix":            {spiedOn("s", map[string]string{"keyPrefix": "a||b"}), `keyPrefix "a||b" must not contain "||"`},
		"key is not hex":    {spiedOn("s", map[string]string{"primaryEncryptionKey": secret}, "primaryEncryptionKey"), "primaryEncryptionKey is not hexadecimal"},
		"key is short":      {spiedOn("s", map[string]string{"primaryEncryptionKey": "0011"}, "primaryEncryptionKey"), "primaryEncryptionKey has 2 bytes, not 16, 24 or 32"},
		"only a secondary":  {spiedOn("s", map[string]string{"secondaryEncryptionKey": hex16}, "secondaryEncryptionKey"), "needs a primaryEncryptionKey"},
		"two actors stores": {spiedOn("s", map[string]string{"actorStateStore": "true"}), "first is the actors' store already"},
		"driver":            {component.Spec{Name: "s", Type: "state.spyed", Version: "v1"}, "did you mean state.spied?"},
		"server":            {spiedOn("s", map[string]string{"fail": "no route to host"}), "open state store s (state.spied/v1): no route to host"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBlock(t, component.Spec{Name: "first", Type: "state.in-memory", Version: "v1", Metadata: map[string]string{"actorStateStore": "true"}})
			err := b.Open(t.Context(), tc.spec)
			require.ErrorContains(t, err, tc.want)
			require.NotContains(t, err.Error(), secret)
		})
	}
}

func TestReplace(t *testing.T) {
	b := newBlock(t, spiedOn("s", nil))
	old := spy(t, "s")
	require.NoError(t, b.Save(t.Context(), "s", save("k", `1`)))

	require.Error(t, b.Open(t.Context(), spiedOn("s", map[string]string{"fail": "no"})))
	require.True(t, spy(t, "s").isClosed(), "what did not open holds nothing")
	require.False(t, old.isClosed(), "a replacement that does not open leaves the old store alone")
	require.Equal(t, "1", string(get(t, b, "s", "k").Data))

	require.NoError(t, b.Open(t.Context(), spiedOn("s", nil)))
	require.True(t, old.isClosed())
	require.Empty(t, get(t, b, "s", "k").Data)
}

func TestCloseWaitsForRunningOperations(t *testing.T) {
	b := newBlock(t, spiedOn("s", nil))
	driver := spy(t, "s")
	driver.entered, driver.leave = make(chan struct{}), make(chan struct{})
	answered := make(chan error)
	go func() {
		_, err := b.Get(context.WithoutCancel(t.Context()), "s", state.GetRequest{Key: "k"})
		answered <- err
	}()
	<-driver.entered

	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	require.ErrorIs(t, b.Close(ctx, "s"), context.DeadlineExceeded, "it waits, but no longer than it may")
	require.False(t, driver.isClosed())
	_, err := b.Get(t.Context(), "s", state.GetRequest{Key: "k"})
	requireError(t, err, "ERR_STATE_STORE_NOT_CONFIGURED", http.StatusInternalServerError, codes.FailedPrecondition, "")

	close(driver.leave)
	require.NoError(t, <-answered)
	require.Eventually(t, driver.isClosed, 10*time.Second, time.Millisecond)
}

func TestKeyPrefix(t *testing.T) {
	for strategy, want := range map[string]string{
		"": "app||k", "appid": "app||k", "appId": "app||k", "name": "s||k", "namespace": "ns.app||k", "none": "k", "shared": "shared||k",
	} {
		t.Run(strategy, func(t *testing.T) {
			b := newBlock(t, spiedOn("s", map[string]string{"KeyPrefix": strategy}))
			require.NoError(t, b.Save(t.Context(), "s", save("k", `1`)))
			require.Equal(t, "1", string(get(t, b, "s", "k").Data))
			require.Equal(t, []string{want, want}, spy(t, "s").keys)
		})
	}
	t.Run("no namespace", func(t *testing.T) {
		b := state.New(state.Options{AppID: "app", Log: telemetry.Discard(), Metrics: telemetry.NewMetrics("app")})
		open(t, b, spiedOn("s", map[string]string{"keyPrefix": "namespace"}))
		require.NoError(t, b.Save(t.Context(), "s", save("k", `1`)))
		require.Equal(t, []string{"app||k"}, spy(t, "s").keys)
	})
}

func TestMalformedKeys(t *testing.T) {
	b := newBlock(t, inMemory("s"))
	for key, part := range map[string]string{"": "key is empty", "a||b": `must not contain "||"`} {
		calls := map[string]error{
			"save":   b.Save(t.Context(), "s", save(key, `1`)),
			"delete": b.Delete(t.Context(), "s", state.DeleteRequest{Key: key}),
			"bulk":   b.DeleteBulk(t.Context(), "s", []state.DeleteRequest{{Key: key}}),
			"tx":     b.Transact(t.Context(), "s", []state.Operation{{Type: "upsert", SaveRequest: save(key, `1`)[0]}}, nil),
		}
		_, calls["get"] = b.Get(t.Context(), "s", state.GetRequest{Key: key})
		_, calls["bulk get"] = b.BulkGet(t.Context(), "s", []string{key}, 0, nil)
		for name, err := range calls {
			t.Run(name+" "+key, func(t *testing.T) {
				requireError(t, err, "ERR_MALFORMED_REQUEST", http.StatusBadRequest, codes.InvalidArgument, part)
			})
		}
	}
}

func TestMalformedOptions(t *testing.T) {
	b := newBlock(t, inMemory("s"))
	for part, c := range map[string]state.Condition{
		`consistency "weak" is not one of eventual, strong`:           {Consistency: "weak"},
		`concurrency "first" is not one of first-write, last-write`:   {Concurrency: "first"},
		`metadata ttlInSeconds "1h" is not a whole number of seconds`: {Metadata: map[string]string{"ttlInSeconds": "1h"}},
	} {
		err := b.Save(t.Context(), "s", []state.SaveRequest{{Key: "k", Condition: c}})
		requireError(t, err, "ERR_MALFORMED_REQUEST", http.StatusBadRequest, codes.InvalidArgument, part)
	}
	_, err := b.Get(t.Context(), "s", state.GetRequest{Key: "k", Consistency: "weak"})
	requireError(t, err, "ERR_MALFORMED_REQUEST", http.StatusBadRequest, codes.InvalidArgument, "consistency")
}

func TestDriverFailures(t *testing.T) {
	b := newBlock(t, spiedOn("s", nil))
	spy(t, "s").fail = errors.New("connection refused")
	_, err := b.Get(t.Context(), "s", state.GetRequest{Key: "k"})
	requireError(t, err, "ERR_STATE_GET", http.StatusInternalServerError, codes.Internal, "failed to get k from state store s: connection refused")
	requireError(t, b.Save(t.Context(), "s", save("k", `1`)), "ERR_STATE_SAVE", http.StatusInternalServerError, codes.Internal, "connection refused")

	create := save("k", `1`)
	create[0].Concurrency = "first-write"
	requireError(t, b.Save(t.Context(), "s", create), "ERR_STATE_SAVE", http.StatusInternalServerError, codes.Internal, "connection refused")
}

func TestETagMismatch(t *testing.T) {
	b := newBlock(t, inMemory("s"))
	c := state.Condition{ETag: "stale"}
	requireError(t, b.Save(t.Context(), "s", []state.SaveRequest{{Key: "k", Condition: c}}), "ERR_STATE_SAVE", http.StatusConflict, codes.Aborted, "etag mismatch")
	requireError(t, b.Delete(t.Context(), "s", state.DeleteRequest{Key: "k", Condition: c}), "ERR_STATE_DELETE", http.StatusConflict, codes.Aborted, "etag mismatch")
	requireError(t, b.DeleteBulk(t.Context(), "s", []state.DeleteRequest{{Key: "k", Condition: c}}), "ERR_STATE_DELETE", http.StatusConflict, codes.Aborted, "etag mismatch")
	requireError(t, b.Transact(t.Context(), "s", []state.Operation{{Type: "delete", SaveRequest: state.SaveRequest{Key: "k", Condition: c}}}, nil),
		"ERR_STATE_TRANSACTION", http.StatusInternalServerError, codes.Internal, "etag mismatch")
}

func TestOptionalPowers(t *testing.T) {
	b := newBlock(t, component.Spec{Name: "plain", Type: "state.plain", Version: "v1"},
		component.Spec{Name: "limited", Type: "state.limited", Version: "v1"},
		component.Spec{Name: "queried", Type: "state.queried", Version: "v1"})

	require.Equal(t, []string{"ETAG"}, b.Capabilities("plain"))
	require.Contains(t, b.Capabilities("limited"), "ACTOR")
	require.Nil(t, b.Capabilities("unknown"))

	operation := state.Operation{Type: "upsert", SaveRequest: save("k", `1`)[0]}
	err := b.Transact(t.Context(), "plain", []state.Operation{operation}, nil)
	requireError(t, err, "ERR_STATE_STORE_NOT_SUPPORTED", http.StatusInternalServerError, codes.Unimplemented, "plain has no transactions")
	err = b.Transact(t.Context(), "limited", []state.Operation{operation, operation, operation}, nil)
	requireError(t, err, "ERR_STATE_STORE_TOO_MANY_TRANSACTIONS", http.StatusBadRequest, codes.InvalidArgument, "3 operations, and state store limited takes at most 2")
	require.NoError(t, b.Transact(t.Context(), "limited", []state.Operation{operation, operation}, nil))

	_, err = b.Query(t.Context(), "limited", []byte(`{}`), nil)
	requireError(t, err, "ERR_STATE_STORE_NOT_SUPPORTED", http.StatusInternalServerError, codes.Unimplemented, "limited has no queries")
	_, err = b.Query(t.Context(), "queried", []byte(`{`), nil)
	requireError(t, err, "ERR_MALFORMED_REQUEST", http.StatusBadRequest, codes.InvalidArgument, "failed to parse the query")
	answer, err := b.Query(t.Context(), "queried", []byte(`{"page":{"limit":1}}`), map[string]string{"m": "v"})
	require.NoError(t, err)
	require.Equal(t, state.Answer{
		Items: []state.Item{{Key: "found", Data: []byte(`{"a":1}`), ETag: "1"}}, Token: "next", Metadata: map[string]string{"m": "v"},
	}, answer)
}

func TestMetrics(t *testing.T) {
	metrics := telemetry.NewMetrics("app")
	b := state.New(state.Options{AppID: "app", Namespace: "ns", Log: telemetry.Discard(), Metrics: metrics})
	open(t, b, inMemory("s"))
	require.NoError(t, b.Save(t.Context(), "s", save("k", `1`)))
	for range 3 {
		get(t, b, "s", "k")
	}
	require.Error(t, b.Delete(t.Context(), "s", state.DeleteRequest{Key: "k", Condition: state.Condition{ETag: "stale"}}))

	recorder := httptest.NewRecorder()
	metrics.Handler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/", nil))
	for _, line := range []string{
		`dapr_component_state_count{app_id="app",component="s",namespace="ns",operation="get",success="true"} 3`,
		`dapr_component_state_count{app_id="app",component="s",namespace="ns",operation="set",success="true"} 1`,
		`dapr_component_state_count{app_id="app",component="s",namespace="ns",operation="delete",success="false"} 1`,
		`dapr_component_state_latencies_count{app_id="app",component="s",namespace="ns",operation="get",success="true"} 3`,
	} {
		require.Contains(t, strings.Split(recorder.Body.String(), "\n"), line)
	}
	require.NotContains(t, recorder.Body.String(), "bulk_get", "what never happened is not listed")
}
