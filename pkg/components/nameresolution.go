package components

import (
	"github.com/dapr/components-contrib/nameresolution/kubernetes"
	"github.com/dapr/components-contrib/nameresolution/mdns"
	"github.com/dapr/components-contrib/nameresolution/nameformat"

	"github.com/hyperdapr/dapr/pkg/nameresolution"
)

func init() {
	r := &nameresolution.Drivers
	r.Register("nameresolution.local", nameresolution.NewLocal)
	r.Register("nameresolution.mdns", library(mdns.NewResolver))
	// The library's Kubernetes driver is plain DNS: <app>-dapr.<namespace>.svc.
	r.Register("nameresolution.kubernetes", library(kubernetes.NewResolver))
	r.Register("nameresolution.dns", library(kubernetes.NewResolver))
	r.Register("nameresolution.nameformat", library(nameformat.NewResolver))
}
