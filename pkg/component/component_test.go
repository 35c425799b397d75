package component

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCategory(t *testing.T) {
	require.Equal(t, "state", Spec{Type: "state.redis"}.Category())
	require.Equal(t, "middleware.http", Spec{Type: "middleware.http.cors"}.Category())
}

func TestProperty(t *testing.T) {
	s := Spec{Metadata: map[string]string{"keyPrefix": "name"}}
	v, ok := s.Property("KEYPREFIX")
	require.True(t, ok)
	require.Equal(t, "name", v)
	_, ok = s.Property("other")
	require.False(t, ok)
}

func TestRegistry(t *testing.T) {
	var r Registry[string]
	r.Register("state.redis", func(*slog.Logger) string { return "redis" })
	r.Register("state.postgresql", func(*slog.Logger) string { return "pg2" }, "v2")

	d, err := r.New(Spec{Name: "s", Type: "state.Redis"}, nil)
	require.NoError(t, err)
	require.Equal(t, "redis", d)
	d, err = r.New(Spec{Name: "s", Type: "state.postgresql", Version: "v2"}, nil)
	require.NoError(t, err)
	require.Equal(t, "pg2", d)

	_, err = r.New(Spec{Name: "s", Type: "state.rediss", Version: "v1"}, nil)
	require.EqualError(t, err, "component s: no driver for type state.rediss; did you mean state.redis?")
	_, err = r.New(Spec{Name: "s", Type: "state.postgresql", Version: "v1"}, nil)
	require.EqualError(t, err, "component s: type state.postgresql has no version v1; use v2")

	require.Panics(t, func() { r.Register("STATE.REDIS", nil) })
	require.Equal(t, []string{"state.postgresql/v2", "state.redis/v1"}, r.Types())
}

func TestSet(t *testing.T) {
	var s Set[int]
	s.Pend("a", errors.New("down"))
	_, ok := s.Get("a")
	require.False(t, ok)
	require.EqualError(t, s.Pending("a"), "down")
	require.Equal(t, 1, s.Len())

	_, replaced := s.Put("a", 1)
	require.False(t, replaced)
	require.NoError(t, s.Pending("a"))
	old, replaced := s.Put("a", 2)
	require.True(t, replaced)
	require.Equal(t, 1, old)

	s.Pend("b", errors.New("down"))
	require.Equal(t, []string{"a", "b"}, s.Names())
	v, ok := s.Delete("a")
	require.True(t, ok)
	require.Equal(t, 2, v)
	require.Equal(t, []string{"b"}, s.Names())
}
