package image

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"io/fs"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/embed"
	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/iostreams"
	"github.com/hyperdapr/dapr/pkg/standalone"
)

// carried is a payload with programs that look like ones for Linux.
func carried(t *testing.T, machine elf.Machine) fs.FS {
	t.Helper()
	header := elf.Header64{Type: uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT), Ehsize: 64}
	copy(header.Ident[:], elf.ELFMAG+string([]byte{byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)}))
	var program bytes.Buffer
	require.NoError(t, binary.Write(&program, binary.LittleEndian, header))
	w, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	packed := &fstest.MapFile{Data: w.EncodeAll(program.Bytes(), nil)}
	return fstest.MapFS{embed.PackedFile("daprd"): packed, embed.PackedFile("controlplane"): packed}
}

// save runs "dapr image save" in a CLI that carries the payloads, whatever
// system it is for.
func save(t *testing.T, target string, carried ...fs.FS) (out, errOut string) {
	t.Helper()
	streams, _, outBuf, errBuf := iostreams.Test()
	f := cmdutil.NewFactory(nil, streams)
	f.Source = func() (standalone.Source, error) {
		mac := fstest.MapFS{embed.PackedFile("daprd"): {Data: []byte("a program for macOS")}}
		return standalone.Source{Payload: mac, LinuxPayloads: carried, Beside: t.TempDir()}, nil
	}
	cmd := NewCmdSave(f, nil)
	cmd.SetArgs([]string{target})
	require.NoError(t, cmd.ExecuteContext(t.Context()))
	return outBuf.String(), errBuf.String()
}

func TestTheImageIsOfAllProgramsForLinuxThatAreCarried(t *testing.T) {
	amd64, arm64 := carried(t, elf.EM_X86_64), carried(t, elf.EM_AARCH64)
	file := filepath.Join(t.TempDir(), "dapr.tar")

	out, _ := save(t, file, amd64, arm64)
	require.Contains(t, out, "Wrote ghcr.io/hyperdapr/dapr:edge for linux/amd64 and linux/arm64\n")
	require.NotContains(t, out, "cannot run this image")

	out, _ = save(t, file, amd64)
	require.Contains(t, out, "Wrote ghcr.io/hyperdapr/dapr:edge for linux/amd64\n")
	require.Contains(t, out, "Nodes of the architecture arm64 cannot run this image: this dapr carries no programs for them; "+
		"a released one does, or say with --bin-dir where some are\n")

	out, errOut := save(t, "-", arm64)
	require.NotContains(t, out, "cannot run this image", "the output is the archive's alone")
	require.Contains(t, errOut, "Nodes of the architecture amd64 cannot run this image: ")
}
