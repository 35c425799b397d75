package doctor

import (
	"context"
	"errors"

	"github.com/hyperdapr/dapr/pkg/standalone"
)

// checkVersion compares the versions of what is installed and of the CLI.
func checkVersion(ctx context.Context, m *Machine) ([]Finding, error) {
	found, err := standalone.Inspect(m.Layout, m.Source)
	if err != nil {
		return nil, err
	}
	cli := m.Source.Version
	answer := standalone.RuntimeVersion(ctx, m.Layout, m.Env)
	switch {
	case found.Version == "" && answer == "n/a":
		return []Finding{info("the CLI has version %s, and no runtime is installed", cli).mend("dapr init")}, nil
	case found.Version == "":
		return []Finding{warn("%s has version %s, and was not installed by this dapr (%s)", m.Layout.Daprd(), answer, cli).
			because("\"dapr init\" replaces it").mend("dapr init")}, nil
	case answer == "n/a":
		return []Finding{fault("the installed %s does not answer when it is asked for its version", m.Layout.Daprd()).mend(fixCommand)}, nil
	case answer != cli:
		return []Finding{info("the CLI has version %s, the runtime %s", cli, answer).
			because("the next \"dapr run\" installs that of the CLI; apps that run keep theirs until they are restarted").mend("dapr init")}, nil
	}
	return []Finding{okay("the CLI and the runtime have version %s", cli)}, nil
}

// checkPayload unpacks what the CLI carries.
func checkPayload(ctx context.Context, m *Machine) ([]Finding, error) {
	n, err := m.Source.VerifyPayload(ctx)
	switch {
	case errors.Is(err, context.Canceled):
		return nil, err
	case err != nil:
		return []Finding{fault("a program inside this dapr is damaged: %v", err).
			because("it can neither be installed nor repaired").mend("download and install dapr again")}, nil
	case n == 0:
		return []Finding{info("this dapr carries no programs: it takes those beside it, in %s", m.Source.Beside)}, nil
	}
	return []Finding{okay("the %s inside this dapr are whole", count(n, "program"))}, nil
}

// checkPrograms compares what is installed with what was, byte by byte.
func checkPrograms(_ context.Context, m *Machine) ([]Finding, error) {
	installed, err := standalone.Inspect(m.Layout, m.Source)
	if err != nil || installed.Version == "" {
		return nil, err
	}
	repair := func(ctx context.Context) (string, error) {
		if _, err := standalone.Repair(ctx, m.Layout, m.Source); err != nil {
			return "", err
		}
		return "installed the programs of version " + installed.Carried, nil
	}
	var found []Finding
	whole := 0
	for _, p := range installed.Programs {
		var f Finding
		switch p.Condition {
		case standalone.Missing:
			f = fault("%s is missing", p.Path)
		case standalone.Damaged:
			f = fault("%s is not as it was installed: its SHA-256 differs", p.Path).
				because("it was damaged, or somebody has replaced it")
		case standalone.Foreign:
			f = warn("%s was not installed by this dapr", p.Path)
		default:
			whole++
			continue
		}
		found = append(found, f.mend(fixCommand).by(repair))
		repair = alreadyDone // one installation mends all of them
	}
	if whole > 0 {
		found = append(found, okay("%s in %s as installed", count(whole, "program"), m.Layout.Bin()))
	}
	return found, nil
}

func alreadyDone(context.Context) (string, error) { return "mended with the one before", nil }

// checkLeftovers looks for what a killed installation left.
func checkLeftovers(_ context.Context, m *Machine) ([]Finding, error) {
	left, err := standalone.Leftovers(m.Layout)
	if err != nil {
		return nil, err
	}
	if len(left) == 0 {
		return []Finding{okay("no installation was broken off")}, nil
	}
	return []Finding{warn("%s of an installation that was broken off: %s", count(len(left), "file"), few(left)).
		because("they only take space").mend(fixCommand).
		by(func(context.Context) (string, error) {
			_, err := standalone.RemoveLeftovers(m.Layout)
			return "removed " + few(left), err
		})}, nil
}
