package standalone

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestACommandThatIsNotFound(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("PATH", ".") // as Windows has it anyway
	program := executableName("app")
	require.NoError(t, os.WriteFile(program, nil, 0o700))
	_, err := exec.LookPath("app")
	require.ErrorIs(t, err, exec.ErrDot)
	require.EqualError(t, notFound("app", err), `the app's command "app" is in this folder and not in the PATH: give it as .`+string(filepath.Separator)+"app")

	_, err = exec.LookPath("none")
	require.ErrorContains(t, notFound("none", err), `the app's command "none" is not found`)
}

func TestTheNamesThatToolsKnow(t *testing.T) {
	require.Equal(t, "dapr_cli_42", stopEvent(42))
	require.Equal(t, "42-dapr-app-process-job", jobName(42))
}
