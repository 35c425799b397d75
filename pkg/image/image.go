// Package image builds the runtime's container image out of its programs for
// Linux, without a container engine, and brings it into a file or a registry.
package image

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/hyperdapr/dapr/pkg/version"
)

const (
	// Repository is the last part of the image's name.
	Repository = "dapr"
	// DefaultRegistry is where the chart looks for the image.
	DefaultRegistry = "ghcr.io/" + version.Owner

	daprd        = "daprd"
	controlPlane = "controlplane"
)

// roles are the names under which the control plane's program is one service.
var roles = []string{"operator", "injector", "sentry", "placement", "scheduler"}

// epoch is the time of all that is in an image: the same programs make the same
// image, digit by digit, whenever and wherever it is built.
var epoch = time.Unix(0, 0).UTC()

// Reference is the image's full name: REGISTRY/dapr:VERSION. The registry may
// have a path, such as "registry.example.com/team". With plainHTTP it is spoken
// to without TLS; one on this machine always is.
func Reference(registry string, plainHTTP bool) (name.Tag, error) {
	var options []name.Option
	if plainHTTP {
		options = append(options, name.Insecure)
	}
	where := strings.TrimSuffix(registry, "/")
	if strings.Contains(where, "://") {
		return name.Tag{}, fmt.Errorf("registry %q: give its host and path, such as registry.example.com/team, without a scheme", registry)
	}
	ref, err := name.NewTag(where+"/"+Repository+":"+version.Version(), options...)
	if err != nil {
		return name.Tag{}, fmt.Errorf("registry %q is no host and path, such as registry.example.com/team: %w", registry, err)
	}
	return ref, nil
}

// Build makes the image of all the given platforms.
func Build(all []Programs) (v1.ImageIndex, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	built := make(map[string]bool)
	for _, programs := range all {
		img, architecture, err := build(programs)
		if err != nil {
			return nil, err
		}
		if built[architecture] {
			return nil, fmt.Errorf("there are two sets of programs for %s: leave one out", architecture)
		}
		built[architecture] = true
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        img,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: architecture}},
		})
	}
	return index, nil
}

// Architectures lists what an image was built for.
func Architectures(index v1.ImageIndex) ([]string, error) {
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	var all []string
	for _, m := range manifest.Manifests {
		all = append(all, m.Platform.Architecture)
	}
	return all, nil
}

// build makes the image of one platform. What changes least is the lowest
// layer, so that an upgrade transfers only the programs.
func build(programs Programs) (v1.Image, string, error) {
	sidecar, architecture, err := programs.read(daprd)
	if err != nil {
		return nil, "", err
	}
	control, other, err := programs.read(controlPlane)
	if err != nil {
		return nil, "", err
	}
	if architecture != other {
		return nil, "", fmt.Errorf("%s is for %s, but %s for %s: build both for one", daprd, architecture, controlPlane, other)
	}
	services := []entry{{path: controlPlane, mode: 0o755, content: control}}
	for _, role := range roles {
		services = append(services, entry{path: role, link: controlPlane})
	}

	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, l := range []struct {
		what    string
		entries []entry
	}{
		{"certificate authorities and users", ground()},
		{daprd, []entry{{path: daprd, mode: 0o755, content: sidecar}}},
		{controlPlane, services},
	} {
		content, err := layer(l.entries)
		if err != nil {
			return nil, "", fmt.Errorf("pack %s: %w", l.what, err)
		}
		img, err = mutate.Append(img, mutate.Addendum{
			Layer:     content,
			MediaType: types.OCILayer,
			History:   v1.History{Created: v1.Time{Time: epoch}, CreatedBy: "dapr image", Comment: l.what},
		})
		if err != nil {
			return nil, "", err
		}
	}
	img, err = configure(img, architecture)
	return img, architecture, err
}

func configure(img v1.Image, architecture string) (v1.Image, error) {
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Created = "linux", architecture, v1.Time{Time: epoch}
	file.Config = v1.Config{
		User:       fmt.Sprintf("%d:%d", nonroot, nonroot),
		WorkingDir: "/",
		Env:        []string{"PATH=/"},
		// No entrypoint: the arguments of a pod begin with the program.
		Cmd: []string{"/" + daprd},
		Labels: map[string]string{
			"org.opencontainers.image.title":       Repository,
			"org.opencontainers.image.description": "Dapr's sidecar and control plane",
			"org.opencontainers.image.source":      "https://github.com/" + version.Owner + "/dapr",
			"org.opencontainers.image.version":     version.Version(),
			"org.opencontainers.image.revision":    version.Commit(),
		},
	}
	return mutate.ConfigFile(img, file)
}
