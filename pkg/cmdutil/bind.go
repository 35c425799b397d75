package cmdutil

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cast"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"github.com/hyperdapr/dapr/pkg/nearest"
)

// reserved are variables that the runtime gives to apps and that SDKs read. A
// dapr started by an app, or in a shell made for one, must not take the app's
// port for its own, so a flag of that name is not set by them.
var reserved = []string{
	"DAPR_API_TOKEN",
	"DAPR_GRPC_ENDPOINT",
	"DAPR_GRPC_PORT",
	"DAPR_HTTP_ENDPOINT",
	"DAPR_HTTP_PORT",
	"DAPR_METRICS_PORT",
}

// EnvName is the environment variable that sets a flag, or "" when none does.
func EnvName(f *pflag.Flag) string {
	name := "DAPR_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
	if !isConfigurable(f) || slices.Contains(reserved, name) {
		return ""
	}
	return name
}

// commandLineOnly marks flags in their annotations.
const commandLineOnly = "command-line-only"

// CommandLineOnly keeps the environment and the file from setting a flag: one
// whose name means something else to all other commands.
func CommandLineOnly(flags *pflag.FlagSet, name string) {
	_ = flags.SetAnnotation(name, commandLineOnly, nil) // fails for a flag that is not defined
}

// isConfigurable leaves out the flags that ask for something else than the
// command's work.
func isConfigurable(f *pflag.Flag) bool {
	_, only := f.Annotations[commandLineOnly]
	return !only && f.Name != "help" && f.Name != "version"
}

// BindFlags sets the flags of a command that were not given on the command
// line: from the environment, or else from the file that configPath names. A
// flag set this way counts as given. An empty variable is as good as none: tools
// that list what may be set leave many. The file holds flag names with their
// values, for all commands or below a command's name for that one:
//
//	log-as-json: true
//	run:
//	  log-level: debug
//	  resources-path: [./components]
func BindFlags(cmd *cobra.Command, env Env, configPath func() (string, error)) error {
	if err := bindEnv(cmd, env); err != nil {
		return err
	}
	// Only now is --runtime-path known, and with it where the file lies.
	path, err := configPath()
	if err != nil {
		return nil //nolint:nilerr // no home, no file: the command says so if it needs one
	}
	config, err := readConfig(cmd.Root(), path)
	if config == nil || err != nil {
		return err
	}
	return bindConfig(cmd, config, path)
}

func bindEnv(cmd *cobra.Command, env Env) error {
	return eachUnset(cmd, func(f *pflag.Flag) error {
		name := EnvName(f)
		value := env.Get(name)
		if name == "" || value == "" {
			return nil
		}
		if err := cmd.Flags().Set(f.Name, value); err != nil {
			return FlagErrorf("environment variable %s: %w", name, ValueError(err))
		}
		return nil
	})
}

func bindConfig(cmd *cobra.Command, config *viper.Viper, path string) error {
	// "dapr mtls export" reads mtls.export.out, mtls.out and out, in this order.
	names := strings.Fields(cmd.CommandPath())[1:]
	return eachUnset(cmd, func(f *pflag.Flag) error {
		for n := len(names); n >= 0; n-- {
			key := strings.Join(append(slices.Clone(names[:n]), f.Name), ".")
			value := config.Get(key)
			if _, isSection := value.(map[string]any); isSection || value == nil {
				continue
			}
			if err := setFlag(cmd.Flags(), f, value); err != nil {
				return FlagErrorf("%s: %s: %w", path, key, ValueError(err))
			}
			return nil
		}
		return nil
	})
}

func setFlag(flags *pflag.FlagSet, f *pflag.Flag, value any) error {
	list, isList := value.([]any)
	slice, takesList := f.Value.(pflag.SliceValue)
	if isList && takesList {
		if err := slice.Replace(cast.ToStringSlice(list)); err != nil {
			return err
		}
		f.Changed = true
		return nil
	}
	s, err := cast.ToStringE(value)
	if err != nil {
		return fmt.Errorf("--%s takes no value of this kind", f.Name)
	}
	return flags.Set(f.Name, s)
}

func eachUnset(cmd *cobra.Command, do func(*pflag.Flag) error) error {
	var errs []error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Changed && isConfigurable(f) {
			errs = append(errs, do(f))
		}
	})
	return errors.Join(errs...)
}

// readConfig returns nil when there is no file.
func readConfig(root *cobra.Command, path string) (*viper.Viper, error) {
	config := viper.New()
	config.SetConfigFile(path)
	config.SetConfigType("yaml")
	if err := config.ReadInConfig(); errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // no file is no error
	} else if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if err := checkKeys(root, config.AllSettings(), nil); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return config, nil
}

// checkKeys refuses a key that no command would ever look up.
func checkKeys(cmd *cobra.Command, settings map[string]any, at []string) error {
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		where := append(slices.Clone(at), key)
		section, isSection := settings[key].(map[string]any)
		sub := findCommand(cmd, key)
		switch {
		case isSection && sub != nil:
			errs = append(errs, checkKeys(sub, section, where))
		case key == "runtime-path":
			errs = append(errs, fmt.Errorf("%s: the file lies below the runtime path, so it cannot set it; use DAPR_RUNTIME_PATH", strings.Join(where, ".")))
		case isSection || !slices.Contains(flagNames(cmd), key):
			errs = append(errs, fmt.Errorf("%s: no flag or command has this name%s", strings.Join(where, "."), didYouMean(cmd, key)))
		}
	}
	return errors.Join(errs...)
}

func didYouMean(cmd *cobra.Command, key string) string {
	known := flagNames(cmd)
	for _, sub := range cmd.Commands() {
		known = append(known, sub.Name())
	}
	near := nearest.Name(key, known)
	if near == "" || near == key {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", near)
}

// flagNames lists the flags of a command, of all commands below it, and of
// those above it that it inherits.
func flagNames(cmd *cobra.Command) []string {
	var names []string
	add := func(f *pflag.Flag) {
		if isConfigurable(f) {
			names = append(names, f.Name)
		}
	}
	cmd.LocalFlags().VisitAll(add)
	cmd.InheritedFlags().VisitAll(add)
	for _, sub := range cmd.Commands() {
		names = append(names, flagNames(sub)...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func findCommand(cmd *cobra.Command, name string) *cobra.Command {
	i := slices.IndexFunc(cmd.Commands(), func(c *cobra.Command) bool { return c.Name() == name })
	if i < 0 {
		return nil
	}
	return cmd.Commands()[i]
}
