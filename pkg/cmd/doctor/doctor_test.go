package doctor

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/doctor"
	"github.com/hyperdapr/dapr/pkg/iostreams"
	"github.com/hyperdapr/dapr/pkg/kubernetes"
	"github.com/hyperdapr/dapr/test/golden"
)

func newOptions(asJSON bool) (*doctorOptions, *iostreams.Buffer, *iostreams.Buffer) {
	streams, _, out, errOut := iostreams.Test()
	now := func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
	return &doctorOptions{streams: streams, now: now, status: cmdutil.NewPrinter(streams, now, func() bool { return asJSON })}, out, errOut
}

var findings = []doctor.Finding{
	{Check: "folder", Level: doctor.OK, Found: "it is yours"},
	{Check: "ports", Level: doctor.Info, Found: "port 3500 is taken"},
	{Check: "logs", Level: doctor.Warning, Found: "1000 logs", Why: "nobody removes them", Fix: "rm"},
	{Check: "programs", Level: doctor.Error, Found: "daprd is missing", Fix: "dapr doctor --fix", Fixable: true},
}

func TestLooks(t *testing.T) {
	r := report{
		Scope: "machine", Findings: findings, Summary: doctor.Summarize(findings),
		Repaired: []doctor.Repaired{{Check: "registry", Done: "removed an entry"}, {Check: "leftovers", Error: "no right"}},
	}
	var b strings.Builder
	for _, look := range []struct {
		output string
		asJSON bool
	}{{"", false}, {"", true}, {"table", false}, {"json", false}, {"yaml", false}} {
		opts, out, errOut := newOptions(look.asJSON)
		opts.output = look.output
		require.NoError(t, opts.show(r))
		require.Empty(t, errOut.String(), "a report is one piece")
		b.WriteString("--- " + look.output + "\n" + out.String() + "\n")
	}
	golden.Equal(t, "looks.txt", b.String())
}

func TestTheLastLine(t *testing.T) {
	for _, tt := range []struct {
		summary doctor.Summary
		fixed   bool
		want    string
		kind    cmdutil.Status
	}{
		{doctor.Summary{OK: 3, Infos: 1}, false, "Nothing is wrong", cmdutil.Success},
		{doctor.Summary{Warnings: 1}, false, "no errors, 1 warning", cmdutil.Warning},
		{doctor.Summary{Errors: 2, Fixable: 1}, false, "2 errors, no warnings; --fix mends 1 of them", cmdutil.Failure},
		{doctor.Summary{Errors: 2, Fixable: 1}, true, "2 errors, no warnings", cmdutil.Failure},
	} {
		require.Equal(t, tt.want, sentence(tt.summary, tt.fixed))
		require.Equal(t, tt.kind, verdict(tt.summary))
	}
}

func TestNoClusterIsAFinding(t *testing.T) {
	opts, out, _ := newOptions(false)
	opts.kubernetes, opts.output = true, "json"
	opts.cluster = func() (*kubernetes.Client, error) { return nil, errors.New("no cluster to talk to") }
	require.ErrorIs(t, doctorRun(t.Context(), opts), cmdutil.ErrSilent)
	require.Contains(t, out.String(), `"scope": "cluster"`)
	require.Contains(t, out.String(), `"found": "no cluster to talk to"`)
}

func TestAnInterruptedExaminationIsNoReport(t *testing.T) {
	opts, out, _ := newOptions(false)
	opts.kubernetes = true
	opts.cluster = func() (*kubernetes.Client, error) { return nil, errors.New("no cluster") }
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, doctorRun(ctx, opts), context.Canceled)
	require.Empty(t, out.String())
}
