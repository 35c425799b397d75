package image

import (
	"archive/tar"
	"encoding/json"
	"io"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Save writes the image as an archive that container engines import: an OCI
// layout, with the list beside it that Docker's older releases read.
func Save(w io.Writer, ref name.Tag, index v1.ImageIndex) error {
	a := archive{tar: tar.NewWriter(w), written: make(map[v1.Hash]bool)}
	manifest, err := index.IndexManifest()
	if err != nil {
		return err
	}
	for _, m := range manifest.Manifests {
		img, err := index.Image(m.Digest)
		if err != nil {
			return err
		}
		if err := a.image(img); err != nil {
			return err
		}
		// What reads this list takes one platform: the first.
		if a.docker == nil {
			if a.docker, err = dockerManifest(ref, img); err != nil {
				return err
			}
		}
	}
	if err := a.top(ref, index); err != nil {
		return err
	}
	return a.tar.Close()
}

// archive is an OCI layout in a tar file.
type archive struct {
	tar     *tar.Writer
	written map[v1.Hash]bool
	docker  any
}

func (a *archive) image(img v1.Image) error {
	layers, err := img.Layers()
	if err != nil {
		return err
	}
	for _, l := range layers {
		digest, err := l.Digest()
		if err != nil {
			return err
		}
		size, err := l.Size()
		if err != nil {
			return err
		}
		content, err := l.Compressed()
		if err != nil {
			return err
		}
		err = a.blob(digest, size, content)
		content.Close()
		if err != nil {
			return err
		}
	}
	config, err := img.RawConfigFile()
	if err != nil {
		return err
	}
	name, err := img.ConfigName()
	if err != nil {
		return err
	}
	if err := a.blob(name, int64(len(config)), strings.NewReader(string(config))); err != nil {
		return err
	}
	return a.manifest(img)
}

// manifest writes that of an image or of an index.
func (a *archive) manifest(m partial.WithRawManifest) error {
	raw, err := m.RawManifest()
	if err != nil {
		return err
	}
	digest, err := partial.Digest(m)
	if err != nil {
		return err
	}
	return a.blob(digest, int64(len(raw)), strings.NewReader(string(raw)))
}

func (a *archive) top(ref name.Tag, index v1.ImageIndex) error {
	if err := a.manifest(index); err != nil {
		return err
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	size, err := index.Size()
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name    string
		content any
	}{
		{"oci-layout", map[string]string{"imageLayoutVersion": "1.0.0"}},
		{"index.json", v1.IndexManifest{
			SchemaVersion: 2,
			MediaType:     types.OCIImageIndex,
			Manifests: []v1.Descriptor{{
				MediaType: types.OCIImageIndex, Digest: digest, Size: size,
				Annotations: map[string]string{
					"io.containerd.image.name":          fullName(ref),
					"org.opencontainers.image.ref.name": ref.TagStr(),
				},
			}},
		}},
		{"manifest.json", a.docker},
	} {
		content, err := json.Marshal(f.content)
		if err != nil {
			return err
		}
		if err := a.file(f.name, int64(len(content)), strings.NewReader(string(content))); err != nil {
			return err
		}
	}
	return nil
}

// blob writes content under its digest, once: images share their lowest layer.
func (a *archive) blob(digest v1.Hash, size int64, content io.Reader) error {
	if a.written[digest] {
		return nil
	}
	a.written[digest] = true
	return a.file(blobPath(digest), size, content)
}

func (a *archive) file(path string, size int64, content io.Reader) error {
	header := tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: 0o644, Size: size, ModTime: epoch, Format: tar.FormatUSTAR}
	if err := a.tar.WriteHeader(&header); err != nil {
		return err
	}
	_, err := io.Copy(a.tar, content)
	return err
}

func blobPath(digest v1.Hash) string { return "blobs/" + digest.Algorithm + "/" + digest.Hex }

// dockerManifest is the one entry of Docker's list.
func dockerManifest(ref name.Tag, img v1.Image) (any, error) {
	config, err := img.ConfigName()
	if err != nil {
		return nil, err
	}
	manifest, err := img.Manifest()
	if err != nil {
		return nil, err
	}
	layers := make([]string, 0, len(manifest.Layers))
	for _, l := range manifest.Layers {
		layers = append(layers, blobPath(l.Digest))
	}
	return []struct{ Config, RepoTags, Layers any }{{blobPath(config), []string{fullName(ref)}, layers}}, nil
}

// fullName is the image's name as engines write it, who know Docker's registry
// under another name than its protocol does.
func fullName(ref name.Tag) string {
	if rest, ok := strings.CutPrefix(ref.Name(), name.DefaultRegistry+"/"); ok {
		return "docker.io/" + rest
	}
	return ref.Name()
}
