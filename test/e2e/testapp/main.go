// Command testapp is an app for the user stories: it does what its arguments
// say, one after the other. Some of it no well-behaved app would do.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"time"
)

func main() {
	for args := os.Args[1:]; len(args) > 0; {
		verb := args[0]
		args = args[1:]
		next := func() string {
			if len(args) == 0 {
				fail("%s needs an argument", verb)
			}
			arg := args[0]
			args = args[1:]
			return arg
		}
		switch verb {
		case "say":
			fmt.Println(next())
		case "prompt": // a line without an end
			fmt.Print(next())
		case "env":
			name := next()
			fmt.Printf("%s=%s\n", name, os.Getenv(name))
		case "read":
			lines := bufio.NewScanner(os.Stdin)
			lines.Scan()
			fmt.Println("read", lines.Text())
		case "exit":
			os.Exit(number(next()))
		case "crash":
			self, err := os.FindProcess(os.Getpid())
			check(err)
			check(self.Kill())
			wait()
		case "wait":
			wait()
		case "deaf": // to every polite request to end
			signal.Ignore(politeRequests...)
		case "careful": // leaves with a code of its own
			go func(code int) {
				asked := make(chan os.Signal, 1)
				signal.Notify(asked, terminate)
				<-asked
				fmt.Println("cleaned up")
				os.Exit(code)
			}(number(next()))
		case "spawn": // a child that does the rest
			check(start(args, false).Start())
			args = []string{"say", "spawned", "wait"}
		case "daemon": // a process that is nobody's child and in no group, for the rest
			check(start(append([]string{"orphan"}, args...), true).Run())
			args = []string{"say", "spawned", "wait"}
		case "orphan":
			check(start(args, true).Start())
			args = nil
		case "save":
			save(next(), next())
		case "load":
			load(next())
		case "post":
			res, err := http.Post(next(), "", nil)
			check(err)
			answer(res)
		case "serve":
			serve()
		default:
			fail("what is %q?", verb)
		}
	}
}

func start(args []string, session bool) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if session {
		cmd.SysProcAttr = farAway()
	}
	return cmd
}

func wait() { time.Sleep(time.Hour) }

func number(s string) int {
	n, err := strconv.Atoi(s)
	check(err)
	return n
}

func check(err error) {
	if err != nil {
		fail("%v", err)
	}
}

func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "testapp: "+format+"\n", args...)
	os.Exit(2)
}

func sidecar(path string) string {
	return "http://127.0.0.1:" + os.Getenv("DAPR_HTTP_PORT") + path
}

func save(key, value string) {
	body := fmt.Sprintf(`[{"key":%q,"value":%q}]`, key, value)
	res, err := http.Post(sidecar("/v1.0/state/statestore"), "application/json", strings.NewReader(body))
	check(err)
	answer(res)
}

func load(key string) {
	res, err := http.Get(sidecar("/v1.0/state/statestore/" + key))
	check(err)
	answer(res)
}

func answer(res *http.Response) {
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	check(err)
	fmt.Println(res.StatusCode, string(body))
}

// serve answers on the app's port: /echo with what it was sent, /fail with an
// error.
func serve() {
	http.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		check(err)
		fmt.Fprintf(w, "%s %s", r.Method, body)
	})
	http.HandleFunc("/fail", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no such order", http.StatusConflict)
	})
	l, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("APP_PORT"))
	check(err)
	fmt.Println("serving")
	check((&http.Server{ReadHeaderTimeout: time.Minute}).Serve(l))
}
