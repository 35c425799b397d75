package kubernetes

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSidecarLogsAreFollowed(t *testing.T) {
	asked := make(chan string, 1)
	more := make(chan string)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path + "?" + r.URL.RawQuery
		for {
			select {
			case line := <-more:
				_, _ = io.WriteString(w, line)
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				return
			}
		}
	}))
	defer server.Close()
	c, err := Connect(Options{Kubeconfig: kubeconfig(t, "test", server.URL)})
	require.NoError(t, err)

	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- c.SidecarLogs(ctx, App{Namespace: "shop", Pod: "cart-1"}, in, LogOptions{Follow: true, Tail: 10})
	}()
	require.Equal(t, "/api/v1/namespaces/shop/pods/cart-1/log?container=daprd&follow=true&tailLines=10", <-asked)
	for _, line := range []string{"first\n", "second\n"} {
		more <- line
		got := make([]byte, len(line))
		_, err := io.ReadFull(out, got)
		require.NoError(t, err)
		require.Equal(t, line, string(got), "a line is shown while the log goes on")
	}
	stop()
	require.NoError(t, <-ended, "who stops looking has seen no error")
}

func TestWhySidecarLogsAreNotThere(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.NotContains(t, r.URL.RawQuery, "tailLines", "all lines")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"BadRequest","code":400,`+
			`"message":"container \"daprd\" in pod \"cart-1\" is waiting to start: ContainerCreating"}`)
	}))
	defer server.Close()
	c, err := Connect(Options{Kubeconfig: kubeconfig(t, "test", server.URL)})
	require.NoError(t, err)
	err = c.SidecarLogs(t.Context(), App{Namespace: "shop", Pod: "cart-1"}, io.Discard, LogOptions{Tail: -1})
	require.EqualError(t, err, `read the log of the pod cart-1: container "daprd" in pod "cart-1" is waiting to start: ContainerCreating`)
}
