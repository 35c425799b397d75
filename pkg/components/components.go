// Package components registers every driver that is compiled into the sidecar,
// and does nothing else: a program that imports it has them all.
package components

import (
	"log/slog"

	kitlogger "github.com/dapr/kit/logger"

	"github.com/hyperdapr/dapr/pkg/component"
	"github.com/hyperdapr/dapr/pkg/telemetry"
)

// library makes a factory of a constructor of the component library.
func library[T any](newDriver func(kitlogger.Logger) T) component.Factory[T] {
	return func(l *slog.Logger) T { return newDriver(telemetry.ForDriver(l)) }
}
