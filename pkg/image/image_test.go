package image

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/require"
)

// program is a file that looks like one for Linux.
func program(t *testing.T, machine elf.Machine, parts ...elf.ProgType) []byte {
	t.Helper()
	const headerSize, partSize = 64, 56
	header := elf.Header64{
		Type: uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT),
		Ehsize: headerSize, Phoff: headerSize, Phentsize: partSize, Phnum: uint16(len(parts)),
	}
	copy(header.Ident[:], elf.ELFMAG)
	header.Ident[elf.EI_CLASS], header.Ident[elf.EI_DATA], header.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)
	var b bytes.Buffer
	require.NoError(t, binary.Write(&b, binary.LittleEndian, header))
	for _, part := range parts {
		require.NoError(t, binary.Write(&b, binary.LittleEndian, elf.Prog64{Type: uint32(part)}))
	}
	return b.Bytes()
}

// folder holds programs for both processors.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for platform, machine := range map[string]elf.Machine{"linux_amd64": elf.EM_X86_64, "linux_arm64": elf.EM_AARCH64} {
		write(t, filepath.Join(dir, platform, daprd), program(t, machine))
		write(t, filepath.Join(dir, platform, controlPlane), program(t, machine, elf.PT_LOAD))
	}
	return dir
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, content, 0o755))
}

func buildIn(t *testing.T, dir string) v1.ImageIndex {
	t.Helper()
	all, err := In(dir)
	require.NoError(t, err)
	index, err := Build(all)
	require.NoError(t, err)
	return index
}

func TestWhatIsInTheImage(t *testing.T) {
	index := buildIn(t, folder(t))
	architectures, err := Architectures(index)
	require.NoError(t, err)
	require.Equal(t, []string{"amd64", "arm64"}, architectures)

	manifest, err := index.IndexManifest()
	require.NoError(t, err)
	for i, machine := range []elf.Machine{elf.EM_X86_64, elf.EM_AARCH64} {
		require.Equal(t, &v1.Platform{OS: "linux", Architecture: architectures[i]}, manifest.Manifests[i].Platform)
		img, err := index.Image(manifest.Manifests[i].Digest)
		require.NoError(t, err)
		file, err := img.ConfigFile()
		require.NoError(t, err)
		require.Equal(t, "linux", file.OS)
		require.Equal(t, architectures[i], file.Architecture)
		require.Equal(t, "65532:65532", file.Config.User)
		require.Equal(t, []string{"/daprd"}, file.Config.Cmd)
		require.Empty(t, file.Config.Entrypoint, "the arguments of a pod begin with the program")

		files, links := unpack(t, img)
		require.Equal(t, program(t, machine), files["daprd"])
		require.Equal(t, program(t, machine, elf.PT_LOAD), files["controlplane"])
		require.Equal(t, map[string]string{
			"operator": "controlplane", "injector": "controlplane", "sentry": "controlplane",
			"placement": "controlplane", "scheduler": "controlplane",
		}, links)
		require.Contains(t, string(files["etc/passwd"]), "nonroot:x:65532:65532:")
		require.Contains(t, slices.Collect(maps.Keys(files)), "tmp")
		block, _ := pem.Decode(files["etc/ssl/certs/ca-certificates.crt"])
		require.NotNil(t, block)
		ca, err := x509.ParseCertificate(block.Bytes)
		require.NoError(t, err)
		require.True(t, ca.IsCA)
	}
}

// unpack returns the file system of an image. Every time in it is the same.
func unpack(t *testing.T, img v1.Image) (files map[string][]byte, links map[string]string) {
	t.Helper()
	files, links = make(map[string][]byte), make(map[string]string)
	content := mutate.Extract(img)
	defer content.Close()
	for r := tar.NewReader(content); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, links
		}
		require.NoError(t, err)
		require.Zero(t, header.ModTime.Unix(), header.Name)
		if header.Typeflag == tar.TypeSymlink {
			links[header.Name] = header.Linkname
			continue
		}
		body, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NotContains(t, files, header.Name)
		files[header.Name] = body
	}
}

func TestTheSameProgramsMakeTheSameImage(t *testing.T) {
	dir := folder(t)
	ref, err := Reference("example.com/team", false)
	require.NoError(t, err)
	var first, second bytes.Buffer
	require.NoError(t, Save(&first, ref, buildIn(t, dir)))
	require.NoError(t, Save(&second, ref, buildIn(t, dir)))
	require.True(t, bytes.Equal(first.Bytes(), second.Bytes()))
}

func TestWhatCannotBeBuilt(t *testing.T) {
	tests := map[string]struct {
		files map[string][]byte
		want  string
	}{
		"no program":      {nil, "find the program daprd for Linux: open "},
		"half of them":    {map[string][]byte{daprd: program(t, elf.EM_X86_64)}, "find the program controlplane for Linux: open "},
		"another system":  {map[string][]byte{daprd: []byte("\xcf\xfa\xed\xfe")}, "the program daprd is not one for Linux: build one with GOOS=linux, and say where it is with --bin-dir"},
		"another machine": {map[string][]byte{daprd: program(t, elf.EM_RISCV)}, "the program daprd is for another processor than amd64 and arm64: EM_RISCV"},
		"libraries":       {map[string][]byte{daprd: program(t, elf.EM_X86_64, elf.PT_INTERP)}, "the program daprd needs libraries that the image does not hold: build it with CGO_ENABLED=0"},
		"a mixture": {map[string][]byte{daprd: program(t, elf.EM_X86_64), controlPlane: program(t, elf.EM_AARCH64)},
			"daprd is for amd64, but controlplane for arm64: build both for one"},
		"twice the same": {map[string][]byte{
			"linux_amd64/daprd": program(t, elf.EM_X86_64), "linux_amd64/controlplane": program(t, elf.EM_X86_64),
			"linux_arm64/daprd": program(t, elf.EM_X86_64), "linux_arm64/controlplane": program(t, elf.EM_X86_64),
		}, "there are two sets of programs for amd64: leave one out"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for path, content := range tt.files {
				write(t, filepath.Join(dir, path), content)
			}
			all, err := In(dir)
			require.NoError(t, err)
			_, err = Build(all)
			require.ErrorContains(t, err, tt.want)
		})
	}
	_, err := In(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, nil)
	_, err = In(file)
	require.ErrorContains(t, err, "it is not a folder")
}

func TestReference(t *testing.T) {
	for registry, want := range map[string]string{
		"ghcr.io/hyperdapr":     "ghcr.io/hyperdapr/dapr:edge",
		"ghcr.io/hyperdapr/":    "ghcr.io/hyperdapr/dapr:edge",
		"localhost:5000":        "localhost:5000/dapr:edge",
		"registry.example.com":  "registry.example.com/dapr:edge",
		"team":                  "docker.io/team/dapr:edge",
		"10.0.0.7:5000/a/b":     "10.0.0.7:5000/a/b/dapr:edge",
		"https://ghcr.io/hyper": `registry "https://ghcr.io/hyper": give its host and path, such as registry.example.com/team, without a scheme`,
		"Not A Registry":        `registry "Not A Registry" is no host and path, such as registry.example.com/team`,
	} {
		ref, err := Reference(registry, false)
		if strings.HasPrefix(want, "registry \"") {
			require.ErrorContains(t, err, want)
			continue
		}
		require.NoError(t, err, registry)
		require.Equal(t, want, fullName(ref))
	}
}

func TestTheArchiveIsReadByBothKindsOfEngines(t *testing.T) {
	index := buildIn(t, folder(t))
	ref, err := Reference("team", false)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "dapr.tar")
	f, err := os.Create(file)
	require.NoError(t, err)
	require.NoError(t, Save(f, ref, index))
	require.NoError(t, f.Close())

	// As Docker's older releases read it.
	tag, err := name.NewTag("docker.io/team/dapr:edge")
	require.NoError(t, err)
	img, err := tarball.ImageFromPath(file, &tag)
	require.NoError(t, err)
	require.NoError(t, validate.Image(img))
	config, err := img.ConfigFile()
	require.NoError(t, err)
	require.Equal(t, "amd64", config.Architecture)

	// As an OCI layout.
	dir := t.TempDir()
	r, err := os.Open(file)
	require.NoError(t, err)
	defer r.Close()
	for t2 := tar.NewReader(r); ; {
		header, err := t2.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		body, err := io.ReadAll(t2)
		require.NoError(t, err)
		write(t, filepath.Join(dir, header.Name), body)
	}
	top, err := layout.ImageIndexFromPath(dir)
	require.NoError(t, err)
	manifest, err := top.IndexManifest()
	require.NoError(t, err)
	require.Len(t, manifest.Manifests, 1)
	require.Equal(t, "docker.io/team/dapr:edge", manifest.Manifests[0].Annotations["io.containerd.image.name"])
	read, err := top.ImageIndex(manifest.Manifests[0].Digest)
	require.NoError(t, err)
	require.NoError(t, validate.Index(read))
}

func TestPush(t *testing.T) {
	index := buildIn(t, folder(t))
	var uploads atomic.Int32
	store := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			uploads.Add(1)
		}
		store.ServeHTTP(w, r)
	}))
	defer server.Close()

	ref, err := Reference(strings.TrimPrefix(server.URL, "http://")+"/team", false)
	require.NoError(t, err)
	require.NoError(t, Push(t.Context(), ref, index))
	require.NotZero(t, uploads.Load())
	there, err := remote.Index(ref)
	require.NoError(t, err)
	require.NoError(t, validate.Index(there))
	want, err := index.Digest()
	require.NoError(t, err)
	got, err := there.Digest()
	require.NoError(t, err)
	require.Equal(t, want, got)

	uploads.Store(0)
	require.NoError(t, Push(t.Context(), ref, index))
	require.Zero(t, uploads.Load(), "what is there already is not sent again")
}

func TestWhatCannotBePushed(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	index := buildIn(t, folder(t))
	answer := func(status int, code string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v2/" && status != http.StatusUnauthorized {
				return
			}
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(map[string]any{"errors": []map[string]string{{"code": code, "message": "no room for you"}}})
		})
	}
	gone := httptest.NewServer(nil)
	gone.Close()
	for what, tt := range map[string]struct {
		server *httptest.Server
		want   string
	}{
		"no login":  {httptest.NewServer(answer(http.StatusUnauthorized, "UNAUTHORIZED")), " refuses the login: log in with \"docker login 127.0.0.1:"},
		"no right":  {httptest.NewServer(answer(http.StatusForbidden, "DENIED")), " does not let this user write to team/dapr: "},
		"too big":   {httptest.NewServer(answer(http.StatusRequestEntityTooLarge, "SIZE_INVALID")), " answers: "},
		"not there": {gone, " does not answer: "},
	} {
		t.Run(what, func(t *testing.T) {
			defer tt.server.Close()
			ref, err := Reference(strings.TrimPrefix(tt.server.URL, "http://")+"/team", false)
			require.NoError(t, err)
			err = Push(t.Context(), ref, index)
			require.ErrorContains(t, err, "the registry 127.0.0.1:")
			require.ErrorContains(t, err, tt.want)
		})
	}
}
