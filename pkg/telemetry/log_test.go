package telemetry

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTextLine(t *testing.T) {
	var out bytes.Buffer
	l := Scope(NewLogger(&out, LogOptions{AppID: "orders", Version: "1.0.0", Instance: "host"}), "dapr.runtime")
	l.Warn("slow", "took", 3*time.Second, "error", errors.New("a b"))
	line := regexp.MustCompile(`^time="[^"]+" `).ReplaceAllString(out.String(), "")
	require.Equal(t, `level=warning msg="slow" app_id=orders error="a b" instance=host scope=dapr.runtime took=3s type=log ver=1.0.0`+"\n", line)
}

func TestJSONLine(t *testing.T) {
	var out bytes.Buffer
	l := Scope(NewLogger(&out, LogOptions{AppID: "orders", JSON: true, Instance: "host", Level: slog.LevelDebug}), "outer")
	Scope(l, "inner").Debug("hello", slog.Group("g", "n", 1))
	var m map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &m))
	delete(m, "time")
	require.Equal(t, map[string]any{
		"level": "debug", "msg": "hello", "app_id": "orders", "instance": "host", "scope": "inner", "type": "log", "g.n": 1.0,
	}, m)
}

func TestLevels(t *testing.T) {
	var out bytes.Buffer
	l := NewLogger(&out, LogOptions{Level: slog.LevelError})
	l.Warn("hidden")
	require.Empty(t, out.String())
	Fatal(l, "the end")
	require.Contains(t, out.String(), "level=fatal")

	for name, want := range map[string]slog.Level{"": slog.LevelInfo, "WARN": slog.LevelWarn, "warning": slog.LevelWarn, "fatal": LevelFatal} {
		got, err := ParseLevel(name)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := ParseLevel("loud")
	require.EqualError(t, err, `log level "loud" is not one of debug, info, warn, error, fatal`)
}

func TestDriverLoggerWritesThroughTheSidecarsLogger(t *testing.T) {
	var out bytes.Buffer
	l := ForDriver(NewLogger(&out, LogOptions{}))
	l.SetOutputLevel("debug")
	l.Debugf("hidden %d", 1)
	require.Empty(t, out.String())
	l.WithFields(map[string]any{"k": "v"}).Infof("shown %d", 2)
	require.Contains(t, out.String(), `msg="shown 2"`)
	require.Contains(t, out.String(), " k=v ")
	require.True(t, l.IsOutputLevelEnabled("warn"))
	require.False(t, l.IsOutputLevelEnabled("debug"))
}
