// Package telemetry makes the logger and the metrics registry that are handed
// down to everything else. It keeps no package state: two sidecars in one
// process do not share a logger or a metric.
package telemetry

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// LevelFatal is above slog.LevelError: the process ends after such a line.
const LevelFatal = slog.Level(12)

// LogOptions says how log lines look. The zero value writes text at level info.
type LogOptions struct {
	// Level is the lowest level that is written.
	Level slog.Level
	// JSON writes one JSON object a line instead of key=value text.
	JSON bool
	// AppID, when set, is the app_id of every line.
	AppID string
	// Version, when set, is the ver of every line.
	Version string
	// Instance is the host's name; os.Hostname when empty.
	Instance string
}

// ParseLevel reads debug, info, warn (or warning), error or fatal, in any case.
func ParseLevel(s string) (slog.Level, error) {
	switch strings.ToLower(s) {
	case "debug":
		return slog.LevelDebug, nil
	case "info", "":
		return slog.LevelInfo, nil
	case "warn", "warning":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	case "fatal":
		return LevelFatal, nil
	}
	return 0, fmt.Errorf("log level %q is not one of debug, info, warn, error, fatal", s)
}

// NewLogger returns a logger whose lines have the fields of the protocol's log
// schema: time, level, msg, then app_id, instance, scope, type and ver among
// the line's own fields, in alphabetical order.
func NewLogger(w io.Writer, o LogOptions) *slog.Logger {
	if o.Instance == "" {
		o.Instance, _ = os.Hostname()
	}
	fixed := []field{{"instance", o.Instance}, {"type", "log"}}
	if o.AppID != "" {
		fixed = append(fixed, field{"app_id", o.AppID})
	}
	if o.Version != "" {
		fixed = append(fixed, field{"ver", o.Version})
	}
	return slog.New(&handler{mu: &sync.Mutex{}, w: w, level: o.Level, json: o.JSON, fields: fixed})
}

// Discard is a logger that writes nothing.
func Discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// Scope returns a logger whose lines carry scope=name, such as
// "dapr.runtime.http".
func Scope(l *slog.Logger, name string) *slog.Logger { return l.With("scope", name) }

// Fatal logs msg at level fatal. It does not end the process: only main does.
func Fatal(l *slog.Logger, msg string, args ...any) {
	l.Log(context.Background(), LevelFatal, msg, args...)
}

type field struct {
	key   string
	value any
}

type handler struct {
	mu     *sync.Mutex
	w      io.Writer
	level  slog.Level
	json   bool
	fields []field
	group  string
}

func (h *handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

func (h *handler) WithGroup(name string) slog.Handler {
	c := *h
	c.group = h.group + name + "."
	return &c
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.fields = slices.Clone(h.fields)
	for _, a := range attrs {
		c.fields = appendAttr(c.fields, h.group, a)
	}
	return &c
}

func (h *handler) Handle(_ context.Context, r slog.Record) error {
	fields := slices.Clone(h.fields)
	r.Attrs(func(a slog.Attr) bool {
		fields = appendAttr(fields, h.group, a)
		return true
	})
	slices.SortStableFunc(fields, func(a, b field) int { return strings.Compare(a.key, b.key) })

	var line []byte
	if h.json {
		line = jsonLine(r, fields)
	} else {
		line = textLine(r, fields)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := h.w.Write(line)
	return err
}

// appendAttr adds a, replacing a field of the same key, so that the most
// specific scope wins.
func appendAttr(fields []field, group string, a slog.Attr) []field {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, g := range v.Group() {
			fields = appendAttr(fields, group, g)
		}
		return fields
	}
	if a.Key == "" {
		return fields
	}
	f := field{group + a.Key, v.Any()}
	if err, ok := f.value.(error); ok {
		f.value = err.Error()
	}
	for i := range fields {
		if fields[i].key == f.key {
			fields[i] = f
			return fields
		}
	}
	return append(fields, f)
}

func levelName(l slog.Level) string {
	switch {
	case l >= LevelFatal:
		return "fatal"
	case l >= slog.LevelError:
		return "error"
	case l >= slog.LevelWarn:
		return "warning"
	case l >= slog.LevelInfo:
		return "info"
	}
	return "debug"
}

func textLine(r slog.Record, fields []field) []byte {
	b := make([]byte, 0, 256)
	b = append(b, `time="`...)
	b = r.Time.AppendFormat(b, time.RFC3339Nano)
	b = append(b, `" level=`...)
	b = append(b, levelName(r.Level)...)
	b = append(b, " msg="...)
	b = strconv.AppendQuote(b, r.Message)
	for _, f := range fields {
		b = append(b, ' ')
		b = append(b, f.key...)
		b = append(b, '=')
		b = appendText(b, fmt.Sprint(f.value))
	}
	return append(b, '\n')
}

// appendText quotes s unless it is made of characters that need no quotes.
func appendText(b []byte, s string) []byte {
	plain := s != "" && utf8.ValidString(s)
	for _, c := range s {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-._/@^+", c)) {
			plain = false
			break
		}
	}
	if plain {
		return append(b, s...)
	}
	return strconv.AppendQuote(b, s)
}

func jsonLine(r slog.Record, fields []field) []byte {
	m := make(map[string]any, len(fields)+3)
	for _, f := range fields {
		switch v := f.value.(type) {
		case time.Duration:
			m[f.key] = v.String()
		default:
			m[f.key] = v
		}
	}
	m["time"] = r.Time.Format(time.RFC3339Nano)
	m["level"] = levelName(r.Level)
	m["msg"] = r.Message
	b, err := json.Marshal(m)
	if err != nil { // a value that JSON cannot hold: keep the line, as text
		for k, v := range m {
			m[k] = fmt.Sprint(v)
		}
		b, _ = json.Marshal(m)
	}
	return append(b, '\n')
}
