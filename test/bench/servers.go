package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"
)

const (
	// value is what the state rows save and get.
	value = `{"orderId":42,"item":"a cup of tea","quantity":2,"note":"with milk, no sugar, at the window"}`
	// order is what the invocation rows send, reply what the app answers.
	order = `{"data":{"orderId":42}}`
	reply = `{"accepted":true,"orderId":42}`
)

// serve is a child process: it prints the address it listens on, and serves
// until ctx is done.
func serve(ctx context.Context, role, target string, out io.Writer) error {
	var handler http.Handler
	switch role {
	case "app":
		handler = http.HandlerFunc(app)
	case "bare":
		handler = http.HandlerFunc(bare)
	case "proxy":
		u, err := url.Parse(target)
		if err != nil {
			return fmt.Errorf("-target: %w", err)
		}
		handler = reverseProxy(u)
	default:
		return fmt.Errorf("-role: %q is not app, bare or proxy", role)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, l.Addr()); err != nil {
		return errors.Join(err, l.Close())
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { server.Close() })
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// app is the called app: it reads the order and accepts it.
func app(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer(w, reply)
}

// bare answers the state API's routes without a state store.
func bare(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Etag", "1")
	answer(w, value)
}

func answer(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "application/json")
	// An error means that the client is gone, and it counts that itself.
	_, _ = io.WriteString(w, body)
}

// reverseProxy is the standard library's, with as many idle connections as there
// are clients: its default of two would make the baseline look worse than it is.
func reverseProxy(target *url.URL) http.Handler {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns = 0
	transport.MaxIdleConnsPerHost = 1024
	return &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: transport,
	}
}
