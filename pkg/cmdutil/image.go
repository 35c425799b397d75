package cmdutil

import (
	"strings"

	"github.com/spf13/pflag"

	"github.com/hyperdapr/dapr/pkg/image"
)

// RegistryFlag defines the flag for where a cluster pulls the image from.
func RegistryFlag(flags *pflag.FlagSet, p *string) {
	flags.StringVar(p, "image-registry", "", "Registry, with folders in it, that the cluster pulls REGISTRY/dapr:VERSION from (default: "+image.DefaultRegistry+")")
}

// Registry checks the value of RegistryFlag.
func Registry(given string) (string, error) {
	registry := strings.TrimSuffix(given, "/")
	switch registry {
	case "docker.io", "ghcr.io":
		return "", FlagErrorf("--image-registry %s: name the folder in the registry too, such as %s/example", registry, registry)
	}
	if _, err := image.Reference(registry, false); err != nil {
		return "", FlagErrorf("--image-registry: %w", err)
	}
	return registry, nil
}

// VariantFlag defines a flag that scripts know from elsewhere.
func VariantFlag(flags *pflag.FlagSet, p *string) {
	flags.StringVar(p, "image-variant", "", "Refused unless it is empty: there is one image, without variants")
}

// CheckVariant checks the value of VariantFlag.
func CheckVariant(variant string) error {
	if variant != "" {
		return FlagErrorf("--image-variant %q: there is one image, without variants: it holds nothing but the programs", variant)
	}
	return nil
}

// CheckVersion checks a wanted version of the runtime against the one that this
// program carries.
func CheckVersion(wanted, own string) error {
	if wanted = strings.TrimPrefix(wanted, "v"); wanted != "latest" && wanted != own {
		return FlagErrorf("--runtime-version %s: this program installs its own version, %s; run the dapr of version %s", wanted, own, wanted)
	}
	return nil
}
