package house

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// floors are the packages under pkg/, lowest first. A package imports only
// lower floors; on its own floor only where arrows say so.
var floors = []struct {
	name     string
	packages []string
}{
	{"L0 ground", []string{
		"version", "telemetry", "apierror", "freeport", "unixsocket", "atomicfile", "filelock", "nearest", "quantity", "signals", "home", "instances",
	}},
	{"L1 model", []string{"component", "resource", "apifilter", "security", "resiliency", "ring", "inject"}},
	{"L2 kits", []string{"httpapi", "grpcapi", "app", "peer", "nameresolution", "service", "kubeapi"}},
	{"L3 building blocks", []string{
		"state", "pubsub", "binding", "secret", "configuration", "lock", "crypto", "conversation",
		"middleware", "invoke", "job", "actor", "workflow", "pluggable", "components",
	}},
	{"L4 services", []string{"sidecar", "operator", "injector", "sentry", "placement", "scheduler", "local"}},
	{"L5 the CLI's hands", []string{"standalone", "runfile", "helm", "kubernetes", "controlplane", "image", "manifest", "doctor"}},
	{"L6 commands", []string{"iostreams", "cmdutil", "cmd"}},
}

// arrows are the imports allowed within one floor, each with its reason.
var arrows = []struct{ from, to, why string }{
	{"instances", "atomicfile", "an entry is replaced as a whole"},
	{"instances", "home", "the registry is below the home folder unless told otherwise"},
	{"resource", "component", "a Component resolves to a component.Spec"},
	{"instances", "filelock", "an entry is alive while its lock is held"},
	{"peer", "app", "what travels between two sidecars is a call to an app and its answer"},
	{"actor", "state", "an actor's state is kept in a state store"},
	{"actor", "job", "an actor's reminders are jobs"},
	{"workflow", "actor", "a workflow instance is an actor"},
	{"components", "*", "it registers every driver with its block, and does nothing else"},
	{"pluggable", "*", "a socket's driver is registered like a compiled-in one"},
	{"controlplane", "helm", "the control plane in a cluster is a Helm release"},
	{"controlplane", "kubernetes", "what a Helm release lacks: definitions, rights, and why a pod is not ready"},
	{"doctor", "standalone", "it examines what an installation and its runs have made"},
	{"doctor", "kubernetes", "it examines a cluster through the one way there is into it"},
	{"doctor", "helm", "how the last change of a release ended is Helm's to tell"},
	{"doctor", "controlplane", "what a cluster should have is what an installation would make"},
	{"cmdutil", "iostreams", "status lines and tables go to the streams"},
	{"cmd", "*", "a command prints through iostreams and cmdutil"},
}

// neverImports are directions that the floors alone would allow.
var neverImports = []struct {
	from, to int
	why      string
}{
	{6, 2, "a command asks the CLI's hands (L5); linking a kit would link the sidecar into the CLI"},
	{6, 3, "a command asks the CLI's hands (L5); linking a building block would link its drivers into the CLI"},
	{6, 4, "a command starts services as processes and speaks their protocol; it does not contain them"},
	{5, 4, "the CLI's hands start services as processes; they do not contain them"},
}

// floorOf returns the floor of a package and the name it is listed under.
func floorOf(rel string) (floor int, name string, found bool) {
	name, _, _ = strings.Cut(rel, "/")
	for i, f := range floors {
		if slices.Contains(f.packages, name) {
			return i, name, true
		}
	}
	return 0, name, false
}

func TestEveryPackageHasAFloor(t *testing.T) {
	for _, p := range packages(t) {
		rel, ok := strings.CutPrefix(p.ImportPath, modulePath()+"/pkg/")
		if !ok {
			continue
		}
		_, name, found := floorOf(rel)
		assert.True(t, found, "pkg/%s is on no floor: add it to floors in test/house/floors_test.go and to docs/architecture.md, "+
			"on the lowest floor whose packages it needs nothing of", name)
	}
}

func TestPackagesImportOnlyLowerFloors(t *testing.T) {
	for _, p := range packages(t) {
		rel, ok := strings.CutPrefix(p.ImportPath, modulePath()+"/pkg/")
		if !ok {
			continue
		}
		for _, imported := range p.Imports {
			target, ok := strings.CutPrefix(imported, modulePath()+"/pkg/")
			if !ok {
				continue
			}
			if why := forbidden(rel, target); why != "" {
				t.Errorf("pkg/%s imports pkg/%s: %s", rel, target, why)
			}
		}
	}
}

// forbidden says why from must not import to, or nothing when it may.
func forbidden(from, to string) string {
	fromFloor, fromName, fromFound := floorOf(from)
	toFloor, toName, toFound := floorOf(to)
	if !fromFound || !toFound || fromName == toName {
		return "" // the other test names packages without a floor
	}
	for _, n := range neverImports {
		if n.from == fromFloor && n.to == toFloor {
			return n.why
		}
	}
	switch {
	case fromFloor > toFloor:
		return ""
	case fromFloor < toFloor:
		return fmt.Sprintf("%s is above %s; declare a one-method interface where it is needed and join the two in sidecar/blocks.go",
			floors[toFloor].name, floors[fromFloor].name)
	case fromFloor == 4:
		return "services never import each other; they talk by proto"
	}
	for _, a := range arrows {
		if a.from == fromName && (a.to == "*" || a.to == toName) {
			return ""
		}
	}
	return "both are on " + floors[fromFloor].name + " and no arrow joins them; declare a one-method interface where it is needed"
}

func TestForbidden(t *testing.T) {
	for _, tt := range []struct {
		from, to string
		allowed  bool
	}{
		{"state", "httpapi", true},
		{"state", "invoke", false},
		{"actor", "state", true},
		{"state", "actor", false},
		{"httpapi", "state", false},
		{"sidecar", "operator", false},
		{"cmd/run", "standalone", true},
		{"cmd/run", "cmd/root", true},
		{"cmd/run", "httpapi", false},
		{"cmd/run", "sidecar", false},
		{"cmd/run", "resource", true},
		{"standalone", "sidecar", false},
	} {
		assert.Equal(t, tt.allowed, forbidden(tt.from, tt.to) == "", "%s → %s", tt.from, tt.to)
	}
}

func TestOnlyTheWireContractIsImported(t *testing.T) {
	for _, p := range packages(t) {
		for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if !strings.HasPrefix(imported+"/", "github.com/dapr/dapr/") {
				continue
			}
			assert.True(t, strings.HasPrefix(imported, "github.com/dapr/dapr/pkg/proto/"),
				"%s imports %s: of that module only pkg/proto, the protocol's published contract, may be imported; everything else is ours to write",
				p.ImportPath, imported)
		}
	}
}
