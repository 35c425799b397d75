// Package stores runs the conformance suite of state stores against each one's
// real server.
package stores

import (
	"github.com/hyperdapr/dapr/pkg/component"
	_ "github.com/hyperdapr/dapr/pkg/components" // the drivers
)

func spec(typ, version string, metadata map[string]string) component.Spec {
	return component.Spec{Name: "statestore", Type: typ, Version: version, Metadata: metadata}
}
