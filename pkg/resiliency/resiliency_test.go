package resiliency

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestDo(t *testing.T) {
	transient, final := errors.New("transient"), errors.New("final")
	onlyTransient := func(err error) bool { return errors.Is(err, transient) }
	for _, tt := range []struct {
		name     string
		policy   Policy
		outcomes []error // the last one repeats
		calls    int
		want     error
	}{
		{"the zero policy tries once", Policy{}, []error{transient}, 1, transient},
		{"success ends it", Policy{MaxRetries: 3}, []error{nil}, 1, nil},
		{"success after failures", Policy{MaxRetries: 3}, []error{transient, transient, nil}, 3, nil},
		{"the last error when retries are used up", Policy{MaxRetries: 2}, []error{transient}, 3, transient},
		{"an error that stays is not retried", Policy{MaxRetries: 2, Retryable: onlyTransient}, []error{transient, final}, 2, final},
		{"negative means without end", Policy{MaxRetries: -1, Retryable: onlyTransient}, []error{transient, transient, transient, transient, nil}, 5, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			calls := 0
			err := Do(t.Context(), tt.policy, func(context.Context) error {
				err := tt.outcomes[min(calls, len(tt.outcomes)-1)]
				calls++
				return err
			})
			require.Equal(t, tt.want, err)
			require.Equal(t, tt.calls, calls)
		})
	}
}

func TestDoStopsWaitingWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	failed := errors.New("failed")
	start := time.Now()
	err := Do(ctx, Policy{MaxRetries: -1, Wait: Constant(time.Hour)}, func(context.Context) error {
		time.AfterFunc(10*time.Millisecond, cancel)
		return failed
	})
	require.ErrorIs(t, err, failed)
	require.Less(t, time.Since(start), time.Minute)
}

func TestExponential(t *testing.T) {
	wait := Exponential(500*time.Millisecond, 2*time.Second)
	for retry, mid := range map[int]time.Duration{1: 500 * time.Millisecond, 2: 750 * time.Millisecond, 3: 1125 * time.Millisecond, 9: 2 * time.Second} {
		for range 20 {
			d := wait(retry)
			require.GreaterOrEqual(t, d, mid/2)
			require.LessOrEqual(t, d, mid+mid/2)
		}
	}
}

func TestServiceRetries(t *testing.T) {
	p := ServiceRetries()
	require.Equal(t, 3, p.MaxRetries)
	require.Equal(t, time.Second, p.Wait(1))
	for code, want := range map[codes.Code]bool{
		codes.Unavailable: true, codes.Unauthenticated: true,
		codes.Internal: false, codes.DeadlineExceeded: false, codes.PermissionDenied: false,
	} {
		require.Equal(t, want, p.Retryable(status.Error(code, "")), code)
	}
	require.False(t, p.Retryable(errors.New("plain")))
}
