package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	kitlogger "github.com/dapr/kit/logger"
)

// ForDriver gives the component library's drivers a logger that writes through
// l. A driver cannot change the output, the level or end the process through it.
func ForDriver(l *slog.Logger) kitlogger.Logger { return driverLogger{l} }

type driverLogger struct{ l *slog.Logger }

func (d driverLogger) EnableJSONOutput(bool)             {}
func (d driverLogger) SetAppID(string)                   {}
func (d driverLogger) SetOutputLevel(kitlogger.LogLevel) {}
func (d driverLogger) SetOutput(io.Writer)               {}

func (d driverLogger) IsOutputLevelEnabled(level kitlogger.LogLevel) bool {
	l, err := ParseLevel(string(level))
	return err == nil && d.l.Enabled(context.Background(), l)
}

func (d driverLogger) WithLogType(t string) kitlogger.Logger {
	return driverLogger{d.l.With("type", t)}
}

func (d driverLogger) WithFields(fields map[string]any) kitlogger.Logger {
	args := make([]any, 0, 2*len(fields))
	for k, v := range fields {
		args = append(args, k, v)
	}
	return driverLogger{d.l.With(args...)}
}

func (d driverLogger) log(level slog.Level, args []any) {
	if d.l.Enabled(context.Background(), level) {
		d.l.Log(context.Background(), level, fmt.Sprint(args...))
	}
}

func (d driverLogger) logf(level slog.Level, format string, args []any) {
	if d.l.Enabled(context.Background(), level) {
		d.l.Log(context.Background(), level, fmt.Sprintf(format, args...))
	}
}

func (d driverLogger) Info(args ...any)                  { d.log(slog.LevelInfo, args) }
func (d driverLogger) Infof(format string, args ...any)  { d.logf(slog.LevelInfo, format, args) }
func (d driverLogger) Debug(args ...any)                 { d.log(slog.LevelDebug, args) }
func (d driverLogger) Debugf(format string, args ...any) { d.logf(slog.LevelDebug, format, args) }
func (d driverLogger) Warn(args ...any)                  { d.log(slog.LevelWarn, args) }
func (d driverLogger) Warnf(format string, args ...any)  { d.logf(slog.LevelWarn, format, args) }
func (d driverLogger) Error(args ...any)                 { d.log(slog.LevelError, args) }
func (d driverLogger) Errorf(format string, args ...any) { d.logf(slog.LevelError, format, args) }
func (d driverLogger) Fatal(args ...any)                 { d.log(LevelFatal, args) }
func (d driverLogger) Fatalf(format string, args ...any) { d.logf(LevelFatal, format, args) }
