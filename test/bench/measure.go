package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Goals, as multiples of the baseline's CPU per request at the largest number
// of connections.
const (
	getGoal    = 1.5
	invokeGoal = 1.3
)

// readyGoal and idleGoal are those of a sidecar with an in-memory store.
const (
	readyGoal = 30 * time.Millisecond
	idleGoal  = 30 << 20
)

const (
	warmUp = 500 * time.Millisecond
	starts = 5 // whose median is the time to ready
)

// subject is one line of the table: something that answers a request.
type subject struct {
	title    string
	request  request
	measured []*process // whose CPU counts; none: not shown
	baseline string     // title of the subject to compare with, in the same group
	goal     float64    // multiple of the baseline's CPU; 0: none
}

// group is the subjects that do the same work.
type group struct {
	title    string
	subjects []subject
}

// row is one measured line.
type row struct {
	group, title string
	connections  int
	load         load
	cpu          time.Duration // per request; 0: not measured
	ratio, goal  float64       // of CPU to the baseline's; 0: none
}

// report is what one run measured.
type report struct {
	rows            []row
	ready           []time.Duration // sorted
	idle            memory
	afterLoad       []namedMemory
	daprd, duration string
}

type namedMemory struct {
	name string
	memory
}

// bench is one run under way.
type bench struct {
	options
	home     string
	children []*process
	progress io.Writer
}

// measure starts everything, measures group by group and ends what it started.
func measure(ctx context.Context, o options, progress io.Writer) (_ *report, err error) {
	home, err := os.MkdirTemp("", "dapr-bench")
	if err != nil {
		return nil, err
	}
	defer func() { err = joinRemove(err, home) }()
	b := &bench{options: o, home: home, progress: progress}
	defer func() { stopAll(b.children) }()

	r := &report{daprd: o.daprd, duration: o.duration.String()}
	if r.ready, r.idle, err = b.startUp(ctx); err != nil {
		return nil, err
	}
	state, sidecars, err := b.stateGroups(ctx)
	if err != nil {
		return nil, err
	}
	invoke, err := b.invokeGroup(ctx)
	if err != nil {
		return nil, err
	}
	for _, g := range append(state, invoke) {
		rows, err := b.measureGroup(ctx, g)
		if err != nil {
			return nil, err
		}
		r.rows = append(r.rows, rows...)
	}
	invokers := invoke.subjects[len(invoke.subjects)-1].measured
	sidecars = append(sidecars, named{"caller", invokers[0]}, named{"callee", invokers[1]})
	for _, s := range sidecars {
		m, err := memoryOf(s.pid())
		if err != nil {
			return nil, err
		}
		r.afterLoad = append(r.afterLoad, namedMemory{s.name, m})
	}
	return r, nil
}

func joinRemove(err error, dir string) error {
	if removeErr := os.RemoveAll(dir); err == nil {
		err = removeErr
	}
	return err
}

// keep remembers a child that runs until the end.
func (b *bench) keep(p *process, err error) (*process, error) {
	if err == nil {
		b.children = append(b.children, p)
	}
	return p, err
}

// startUp measures the time to ready, and the memory a while after.
func (b *bench) startUp(ctx context.Context) (ready []time.Duration, idle memory, err error) {
	fmt.Fprintln(b.progress, "start-up")
	resources, err := b.component("state.in-memory", nil)
	if err != nil {
		return nil, memory{}, err
	}
	for i := range starts {
		p, took, err := startSidecar(ctx, b.daprd, b.home, "startup", "--resources-path", resources)
		if err != nil {
			return nil, memory{}, err
		}
		ready = append(ready, took)
		if i == starts-1 {
			time.Sleep(2 * time.Second) // idle is what it keeps, not what it starts with
			idle, err = memoryOf(p.pid())
		}
		p.stop()
		if err != nil {
			return nil, memory{}, err
		}
	}
	slices.Sort(ready)
	return ready, idle, nil
}

// component writes a resources folder with one state store.
func (b *bench) component(typ string, metadata map[string]string) (folder string, err error) {
	folder = filepath.Join(b.home, typ)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	var y strings.Builder
	fmt.Fprintf(&y, "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: statestore}\nspec:\n  type: %s\n  version: v1\n", typ)
	if len(metadata) > 0 {
		y.WriteString("  metadata:\n")
	}
	for name, v := range metadata {
		fmt.Fprintf(&y, "  - {name: %s, value: %q}\n", name, v)
	}
	return folder, os.WriteFile(filepath.Join(folder, "statestore.yaml"), []byte(y.String()), 0o600)
}

type named struct {
	name string
	*process
}

// stateGroups starts one sidecar a store, and the bare server.
func (b *bench) stateGroups(ctx context.Context) (groups []group, sidecars []named, err error) {
	const path, bareTitle = "/v1.0/state/statestore", "bare net/http server"
	redis, err := b.keep(startRedis(ctx, b.home))
	if err != nil {
		return nil, nil, err
	}
	bareServer, err := b.keep(startRole(ctx, "bare"))
	if err != nil {
		return nil, nil, err
	}
	body := `[{"key":"order","value":` + value + `}]`
	gets := group{"get state", []subject{{
		title: bareTitle, request: get(bareServer.addr, path+"/order"), measured: []*process{bareServer},
	}}}
	saves := group{"save state", []subject{{
		title: bareTitle, request: post(bareServer.addr, path, body, 204), measured: []*process{bareServer},
	}}}
	for _, store := range []struct {
		title, typ string
		metadata   map[string]string
		goal       float64
	}{
		{"sidecar, in-memory", "state.in-memory", nil, getGoal},
		{"sidecar, SQLite", "state.sqlite", map[string]string{"connectionString": filepath.Join(b.home, "state.db")}, 0},
		{"sidecar, Redis", "state.redis", map[string]string{"redisHost": redis.addr, "redisPassword": ""}, 0},
	} {
		resources, err := b.component(store.typ, store.metadata)
		if err != nil {
			return nil, nil, err
		}
		p, _, err := startSidecar(ctx, b.daprd, b.home, strings.ReplaceAll(store.typ, ".", "-"), "--resources-path", resources)
		if _, err = b.keep(p, err); err != nil {
			return nil, nil, err
		}
		sidecars = append(sidecars, named{strings.TrimPrefix(store.title, "sidecar, "), p})
		save := post(p.addr, path, body, 204)
		if _, err := send(ctx, save, 1, time.Millisecond); err != nil { // there must be something to get
			return nil, nil, p.failed("save with the "+store.title, err)
		}
		gets.subjects = append(gets.subjects, subject{store.title, get(p.addr, path+"/order"), []*process{p}, bareTitle, store.goal})
		saves.subjects = append(saves.subjects, subject{store.title, save, []*process{p}, bareTitle, 0})
	}
	return []group{gets, saves}, sidecars, nil
}

// invokeGroup starts the app, two proxies in a row before it, and two sidecars.
func (b *bench) invokeGroup(ctx context.Context) (group, error) {
	const proxies = "two reverse proxies"
	appServer, err := b.keep(startRole(ctx, "app"))
	if err != nil {
		return group{}, err
	}
	inner, err := b.keep(startRole(ctx, "proxy", "-target", "http://"+appServer.addr))
	if err != nil {
		return group{}, err
	}
	outer, err := b.keep(startRole(ctx, "proxy", "-target", "http://"+inner.addr))
	if err != nil {
		return group{}, err
	}
	_, appPort, _ := strings.Cut(appServer.addr, ":")
	callee, _, err := startSidecar(ctx, b.daprd, b.home, "callee", "--app-port", appPort, "--resources-path", b.emptyFolder())
	if _, err = b.keep(callee, err); err != nil {
		return group{}, err
	}
	caller, _, err := startSidecar(ctx, b.daprd, b.home, "caller", "--resources-path", b.emptyFolder())
	if _, err = b.keep(caller, err); err != nil {
		return group{}, err
	}
	return group{"invoke an app", []subject{
		{title: "the app, directly", request: post(appServer.addr, "/neworder", order, 200)},
		{title: proxies, request: post(outer.addr, "/neworder", order, 200), measured: []*process{outer, inner}},
		{
			title: "two sidecars", request: post(caller.addr, "/v1.0/invoke/callee/method/neworder", order, 200),
			measured: []*process{caller, callee}, baseline: proxies, goal: invokeGoal,
		},
	}}, nil
}

func (b *bench) emptyFolder() string {
	dir := filepath.Join(b.home, "none")
	_ = os.Mkdir(dir, 0o755) // a folder that cannot be made is the sidecar's error to tell
	return dir
}

func (b *bench) measureGroup(ctx context.Context, g group) ([]row, error) {
	var rows []row
	for _, connections := range b.connections {
		perRequest := make(map[string]time.Duration)
		for _, s := range g.subjects {
			fmt.Fprintf(b.progress, "%s: %s, %d connections\n", g.title, s.title, connections)
			r, err := b.measureSubject(ctx, s, connections)
			if err != nil {
				return nil, fmt.Errorf("%s: %s, %s connections: %w", g.title, s.title, strconv.Itoa(connections), err)
			}
			r.group = g.title
			perRequest[s.title] = r.cpu
			if base := perRequest[s.baseline]; base > 0 {
				r.ratio = float64(r.cpu) / float64(base)
			}
			if connections == slices.Max(b.connections) {
				r.goal = s.goal
			}
			rows = append(rows, r)
		}
	}
	return rows, nil
}

func (b *bench) measureSubject(ctx context.Context, s subject, connections int) (row, error) {
	if _, err := send(ctx, s.request, connections, warmUp); err != nil {
		return row{}, err
	}
	before, err := totalCPU(s.measured)
	if err != nil {
		return row{}, err
	}
	l, err := send(ctx, s.request, connections, b.duration)
	if err != nil {
		return row{}, err
	}
	after, err := totalCPU(s.measured)
	if err != nil {
		return row{}, err
	}
	r := row{title: s.title, connections: connections, load: l}
	if n := len(l.latencies); n > 0 {
		r.cpu = (after - before) / time.Duration(n)
	}
	return r, nil
}

func totalCPU(processes []*process) (total time.Duration, err error) {
	for _, p := range processes {
		cpu, err := cpuTime(p.pid())
		if err != nil {
			return 0, err
		}
		total += cpu
	}
	return total, nil
}
