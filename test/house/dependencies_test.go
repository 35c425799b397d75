package house

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// unmaintained are modules that their authors have archived, deprecated, renamed
// or left, as far as a program here may come to link them. It is data, so that
// the test needs no network: whoever learns of another one adds it.
var unmaintained = []string{
	"github.com/Azure/go-autorest/autorest",
	"github.com/Shopify/sarama",
	"github.com/armon/go-metrics",
	"github.com/aws/aws-sdk-go",
	"github.com/boltdb/bolt",
	"github.com/cenkalti/backoff",
	"github.com/dgrijalva/jwt-go",
	"github.com/dylibso/observe-sdk/go",
	"github.com/form3tech-oss/jwt-go",
	"github.com/go-redis/redis/v8",
	"github.com/gogo/protobuf",
	"github.com/golang/groupcache",
	"github.com/golang/protobuf",
	"github.com/google/btree",
	"github.com/google/gofuzz",
	"github.com/google/shlex",
	"github.com/grandcat/zeroconf",
	"github.com/gregjones/httpcache",
	"github.com/imdario/mergo",
	"github.com/json-iterator/go",
	"github.com/kr/pty",
	"github.com/lestrrat-go/jwx",
	"github.com/lestrrat-go/jwx/v2",
	"github.com/mailru/easyjson",
	"github.com/matttproud/golang_protobuf_extensions",
	"github.com/mitchellh/copystructure",
	"github.com/mitchellh/go-homedir",
	"github.com/mitchellh/go-wordwrap",
	"github.com/mitchellh/mapstructure",
	"github.com/mitchellh/reflectwalk",
	"github.com/modern-go/concurrent",
	"github.com/modern-go/reflect2",
	"github.com/opentracing/opentracing-go",
	"github.com/pkg/errors",
	"github.com/satori/go.uuid",
	"github.com/streadway/amqp",
	"github.com/tetratelabs/wabin",
	"github.com/xeipuuv/gojsonschema",
	"go.opencensus.io",
	"gopkg.in/square/go-jose.v2",
	"gopkg.in/yaml.v2",
	"gopkg.in/yaml.v3",
	"k8s.io/klog",
	"nhooyr.io/websocket",
}

// stillLinked are those of them that a program links, with the modules that
// import them, which have to leave them first. MODULE is this one.
var stillLinked = map[string][]string{
	"github.com/armon/go-metrics":        {"github.com/hashicorp/go-metrics"},
	"github.com/boltdb/bolt":             {"github.com/hashicorp/raft-boltdb/v2"},
	"github.com/cenkalti/backoff":        {"github.com/grandcat/zeroconf"},
	"github.com/dylibso/observe-sdk/go":  {"github.com/extism/go-sdk"},
	"github.com/go-redis/redis/v8":       {"MODULE", "github.com/dapr/components-contrib"},
	"github.com/google/btree":            {"github.com/peterbourgon/diskv"},
	"github.com/grandcat/zeroconf":       {"github.com/dapr/components-contrib"},
	"github.com/json-iterator/go":        {"github.com/cloudevents/sdk-go/v2", "github.com/dapr/components-contrib", "sigs.k8s.io/structured-merge-diff/v6"},
	"github.com/lestrrat-go/jwx/v2":      {"github.com/dapr/components-contrib"},
	"github.com/mitchellh/copystructure": {"github.com/Masterminds/sprig/v3"},
	"github.com/mitchellh/go-wordwrap":   {"k8s.io/kubectl"},
	"github.com/mitchellh/mapstructure":  {"github.com/dapr/kit"},
	"github.com/mitchellh/reflectwalk":   {"github.com/mitchellh/copystructure"},
	"github.com/modern-go/concurrent":    {"github.com/json-iterator/go"},
	"github.com/modern-go/reflect2":      {"github.com/json-iterator/go"},
	"github.com/tetratelabs/wabin":       {"github.com/dylibso/observe-sdk/go"},
}

func TestUnmaintainedDependencies(t *testing.T) {
	importers := linkedModules(t)
	for _, module := range unmaintained {
		assert.Equal(t, stillLinked[module], importers[module],
			"%s is no longer maintained: use what took its place, or say in stillLinked, and in docs/contributing.md, which modules keep it here", module)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "contributing.md"))
	require.NoError(t, err)
	for module := range stillLinked {
		assert.Contains(t, unmaintained, module)
		assert.Contains(t, string(page), "`"+module+"`", "docs/contributing.md tells which unmaintained modules are linked")
	}
}

// linkedModules are those that the three programs are made of, each with the
// modules that import it, in order.
func linkedModules(t *testing.T) map[string][]string {
	t.Helper()
	out, err := goList("-deps", "-f", `{{with .Module}}{{.Path}} {{$.ImportPath}} {{range $.Imports}}{{.}} {{end}}{{end}}`,
		"./cmd/dapr", "./cmd/daprd", "./cmd/controlplane")
	require.NoError(t, err)
	moduleOf, imports := make(map[string]string), make(map[string][]string)
	for line := range strings.Lines(string(out)) {
		if words := strings.Fields(line); len(words) > 0 { // the standard library's have none
			moduleOf[words[1]], imports[words[1]] = words[0], words[2:]
			if words[0] == modulePath() {
				moduleOf[words[1]] = "MODULE"
			}
		}
	}
	importers := make(map[string]map[string]bool)
	for from, all := range imports {
		for _, imported := range all {
			module := moduleOf[imported]
			if module == "" || module == moduleOf[from] {
				continue
			}
			if importers[module] == nil {
				importers[module] = make(map[string]bool)
			}
			importers[module][moduleOf[from]] = true
		}
	}
	sorted := make(map[string][]string)
	for module, by := range importers {
		sorted[module] = slices.Sorted(maps.Keys(by))
	}
	return sorted
}
