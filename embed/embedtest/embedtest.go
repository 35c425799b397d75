// Package embedtest makes payloads for tests, as embed/pack makes those of the
// command line.
package embedtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/klauspost/compress/zstd"

	"github.com/hyperdapr/dapr/embed"
)

// Payload packs programs, content by name.
func Payload(t *testing.T, version string, programs map[string]string) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	m := embed.Manifest{Version: version}
	for _, name := range slices.Sorted(maps.Keys(programs)) {
		content := programs[name]
		var b bytes.Buffer
		w, err := zstd.NewWriter(&b)
		if err == nil {
			_, err = w.Write([]byte(content))
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		files[embed.PackedFile(name)] = &fstest.MapFile{Data: b.Bytes()}
		sum := sha256.Sum256([]byte(content))
		m.Programs = append(m.Programs, embed.Program{Name: name, Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:])})
	}
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	files[embed.ManifestFile] = &fstest.MapFile{Data: data}
	return files
}
