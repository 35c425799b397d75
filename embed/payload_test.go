package embed

import (
	"io"
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

func TestThePayloadsForLinuxAreThere(t *testing.T) {
	w, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	packed := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: w.EncodeAll([]byte(text), nil)} }
	carried := fstest.MapFS{
		"payload/darwin_arm64/manifest.json": {},
		"payload/darwin_arm64/daprd.zst":     packed("for macOS"),
		"payload/linux_arm64/manifest.json":  {},
		"payload/linux_arm64/daprd.zst":      packed("for Linux on arm64"),
		"payload/linux_amd64/manifest.json":  {},
		"payload/linux_amd64/daprd.zst":      packed("for Linux on amd64"),
	}
	open := func() (all []string) {
		for _, payload := range linuxPayloads(carried) {
			r, err := Open(payload, "daprd")
			require.NoError(t, err)
			content, err := io.ReadAll(r)
			require.NoError(t, err)
			require.NoError(t, r.Close())
			all = append(all, string(content))
			_, err = Open(payload, "controlplane")
			require.ErrorIs(t, err, fs.ErrNotExist)
		}
		return all
	}
	require.Equal(t, []string{"for Linux on amd64", "for Linux on arm64"}, open())

	delete(carried, "payload/linux_amd64/manifest.json")
	require.Equal(t, []string{"for Linux on arm64"}, open())
	require.Empty(t, linuxPayloads(fstest.MapFS{}), "a CLI without payload carries none")
}
