package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func TestEveryRequestIsSentOnceAndCounted(t *testing.T) {
	var seen atomic.Int64
	address := site(t, func(w http.ResponseWriter, r *http.Request) {
		number := seen.Add(1)
		if number%10 == 0 {
			w.WriteHeader(500)
		}
		fmt.Fprintf(w, "{\n \"predictions\": [2.5\n ]\n}")
	})
	got := load(t, "--url", address, "--requests", "1000", "--connections", "7", "--body", "{}")
	if got.Requests != 1000 || got.Answered != 1000 || got.OK != 900 || got.Failed != 0 || seen.Load() != 1000 {
		t.Errorf("the server saw %d, the report is %+v", seen.Load(), got)
	}
	sameCounts(t, "status", got.Status, map[string]int64{"200": 900, "500": 100})
	want := []answerCount{{200, `{"predictions":[2.5]}`, 900}, {500, `{"predictions":[2.5]}`, 100}}
	if len(got.Answers) != 2 || got.Answers[0] != want[0] || got.Answers[1] != want[1] {
		t.Errorf("answers are %v, want %v", got.Answers, want)
	}
	if got.Opened != 7 {
		t.Errorf("%d connections are opened for 7 kept ones", got.Opened)
	}
	if got.Latency.P50 <= 0 || got.Latency.P50 > got.Latency.P90 || got.Latency.P90 > got.Latency.P99 ||
		got.Latency.P99 > got.Latency.Max || got.Seconds <= 0 || got.PerSecond <= 0 {
		t.Errorf("the times are %+v", got)
	}
}

// answerUntil answers requests on a connection until turn says to close it instead.
func answerUntil(connection net.Conn, turn func() (answer bool)) {
	defer connection.Close()
	reader := bufio.NewReader(connection)
	for {
		request, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		io.Copy(io.Discard, request.Body)
		if !turn() {
			return
		}
		io.WriteString(connection, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	}
}

func TestARequestThatMeetsAClosingConnectionIsLostAndNotRetried(t *testing.T) {
	for _, method := range []string{"GET", "POST"} {
		var seen atomic.Int64
		address := sockets(t, func(connection net.Conn) {
			answerUntil(connection, func() bool { return seen.Add(1)%5 != 0 })
		})
		got := load(t, "--url", "http://"+address, "--requests", "100", "--method", method)
		if got.Requests != 100 || got.Answered != 80 || got.Failed != 20 || seen.Load() != 100 {
			t.Errorf("%s: the server saw %d, the report is %+v", method, seen.Load(), got)
		}
		sameCounts(t, "errors", got.Errors, map[string]int64{"closed": 20})
	}
}

func TestARequestThatCannotBeWrittenIsNotSentOverAnotherConnection(t *testing.T) {
	var accepted atomic.Int64
	ended := make(chan struct{})
	address := sockets(t, func(connection net.Conn) {
		accepted.Add(1)
		http.ReadRequest(bufio.NewReader(connection))
		io.WriteString(connection, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		<-ended
		connection.Close()
	})
	defer close(ended)
	target, err := (&targetFlags{timeout: 5 * time.Second}).target("http://" + address)
	if err != nil {
		t.Fatal(err)
	}
	connection := &connection{target: target}
	defer connection.close()
	if _, err := connection.send(t.Context()); err != nil {
		t.Fatal(err)
	}
	connection.socket.(*net.TCPConn).CloseWrite()
	if _, err := connection.send(t.Context()); err == nil || kindOf(err) != "reset" || accepted.Load() != 1 {
		t.Errorf("got %v over %d connections", err, accepted.Load())
	}
}

func TestAConnectionClosedWhileIdleIsReplaced(t *testing.T) {
	address := sockets(t, func(connection net.Conn) {
		turns := 0
		answerUntil(connection, func() bool {
			turns++
			time.AfterFunc(30*time.Millisecond, func() { connection.Close() })
			return turns == 1
		})
	})
	got := load(t, "--url", "http://"+address, "--requests", "5", "--rate", "10")
	if got.OK != 5 || got.Opened != 5 {
		t.Errorf("the report is %+v", got)
	}
}

func TestErrorsAreCountedByKind(t *testing.T) {
	silent := sockets(t, func(connection net.Conn) { io.Copy(io.Discard, connection) })
	resetting := sockets(t, func(connection net.Conn) {
		io.ReadAtLeast(connection, make([]byte, 1), 1)
		connection.(*net.TCPConn).SetLinger(0)
		connection.Close()
	})
	garbage := sockets(t, func(connection net.Conn) {
		io.ReadAtLeast(connection, make([]byte, 1), 1)
		io.WriteString(connection, "no HTTP\r\n\r\n")
		connection.Close()
	})
	for address, kind := range map[string]string{
		silent: "timeout", resetting: "reset", garbage: "other", "127.0.0.1:1": "refused", "no-such-host.invalid": "dns",
	} {
		got := load(t, "--url", "http://"+address, "--requests", "2", "--timeout", "300ms")
		if kind == "dns" && got.Errors["timeout"] == 2 {
			continue // a host without a resolver gives no answer at all
		}
		sameCounts(t, address, got.Errors, map[string]int64{kind: 2})
		if got.Failed != 2 || got.Examples[kind] == "" {
			t.Errorf("%s: the report is %+v", kind, got)
		}
	}
}

func TestTheRateIsKept(t *testing.T) {
	address := site(t, func(w http.ResponseWriter, r *http.Request) {})
	got := load(t, "--url", address, "--requests", "21", "--rate", "50", "--connections", "4")
	if got.OK != 21 || got.Seconds < 0.4 || got.Seconds > 3 {
		t.Errorf("21 requests at 50 a second take %v s", got.Seconds)
	}
	got = load(t, "--url", address, "--duration", "500ms", "--rate", "100", "--connections", "4")
	if got.OK != 50 {
		t.Errorf("half a second at 100 a second is %d requests", got.OK)
	}
	got = load(t, "--url", address, "--duration", "200ms")
	if got.OK < 10 || got.Seconds < 0.2 || got.Seconds > 3 {
		t.Errorf("200 ms without a rate: %+v", got)
	}
}

func TestWhatIsSentIsWhatWasAskedFor(t *testing.T) {
	var got string
	address := site(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = fmt.Sprintf("%s %s %s %s %s %s", r.Method, r.Host, r.URL, r.Header.Get("X-User"), r.Header.Get("Content-Type"), body)
	})
	for want, arguments := range map[string][]string{
		"POST models.example /a?b=c u=1 application/json {}": {"--body", "{}", "--host", "models.example", "--header", "x-user=u=1"},
		"PUT models.example /a?b=c  text/plain x":            {"--method", "PUT", "--body", "x", "--host", "models.example", "--header", "content-type=text/plain"},
		"GET models.example /a?b=c   ":                       {"--host", "models.example"},
	} {
		load(t, append([]string{"--url", address + "/a?b=c", "--requests", "1"}, arguments...)...)
		if got != want {
			t.Errorf("the server got %q, want %q", got, want)
		}
	}
}

func TestAReportStaysSmall(t *testing.T) {
	var seen atomic.Int64
	address := site(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "answer %d %s", seen.Add(1)%300, strings.Repeat("é", 50_000))
	})
	got := load(t, "--url", address, "--requests", "600", "--connections", "4")
	listed := int64(0)
	for _, answer := range got.Answers {
		listed += answer.Count
		if len(answer.Body) > maxBodyShown+3 {
			t.Errorf("a body of %d bytes is shown", len(answer.Body))
		}
	}
	if len(got.Answers) != maxAnswers || listed+got.OtherAnswers != 600 {
		t.Errorf("%d answers are listed, %d + %d counted", len(got.Answers), listed, got.OtherAnswers)
	}
}

func TestQuantilesAreWithinAPercent(t *testing.T) {
	var l latencies
	for i := 1; i <= 1000; i++ {
		l.add(time.Duration(i) * time.Millisecond)
	}
	for share, want := range map[float64]float64{0.5: 500, 0.9: 900, 0.99: 990, 1: 1000} {
		if got := l.quantile(share); got < want*0.999 || got > want*1.011 {
			t.Errorf("quantile %v is %v, want %v", share, got, want)
		}
	}
	if empty := new(latencies).quantile(0.5); empty != 0 {
		t.Errorf("nothing has the median %v", empty)
	}
}

func TestWrongUseEndsWithTwoAndSaysWhy(t *testing.T) {
	for arguments, reason := range map[string]string{
		"":                                  "no subcommand",
		"lod":                               `no subcommand "lod"`,
		"wait 5":                            "wait takes no arguments",
		"load --url http://a":               "say how much: --requests or --duration",
		"load --requests 1":                 "is no http or https URL",
		"load --url ftp://a --requests 1":   "is no http or https URL",
		"load --url http://a --requests -1": "are not negative",
		"load --url http://a --requests x":  "invalid value",
		"load --url http://a --requests 1 --every -1s":     "are not negative",
		"load --url http://a --requests 1 --connections 0": "--connections is 0; it has to be 1-10000",
		"load --url http://a --requests 1 --timeout 0s":    "--timeout is 0s",
		"load --url http://a --requests 1 --header x":      "a header is NAME=VALUE",
		"load --url http://a --requests 1 --method post":   "a method is upper case",
		"load http://a --requests 1":                       "the URL goes with --url",
		"load --bogus":                                     "not defined: -bogus",
		"get":                                              "get takes one URL",
		"get http://a http://b":                            "get takes one URL",
		"get https://a --insecure --ca x":                  "exclude each other",
		"get https://a --ca /nonexistent/ca":               "no such file",
		"get https://a --resolve a:443":                    "HOST:PORT:ADDRESS",
		"grpc":                                             "grpc takes one URL",
		"grpc http://a":                                    "is no http URL with a path",
		"grpc https://a/b.C/D":                             "is no http URL with a path",
		"grpc http://a/b.C/D --message ?":                  "illegal base64 data",
	} {
		var out, complaints strings.Builder
		code := run(strings.Fields(arguments), &out, &complaints)
		if code != exitUsage || out.Len() > 0 || !strings.Contains(complaints.String(), reason) || !strings.Contains(complaints.String(), "usage:") {
			t.Errorf("%q: exit code %d, complaint %s", arguments, code, complaints.String())
		}
	}
}

// asProcess starts the caller as a process of its own.
func asProcess(t *testing.T, out io.Writer, arguments ...string) *exec.Cmd {
	t.Helper()
	command := exec.Command(os.Args[0], arguments...)
	command.Env = append(os.Environ(), asCaller+"=1")
	command.Stdout = out
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { command.Process.Kill() })
	return command
}

func TestWaitEndsAtOnceOnSIGTERM(t *testing.T) {
	command := asProcess(t, nil, "wait")
	time.Sleep(300 * time.Millisecond)
	started := time.Now()
	command.Process.Signal(syscall.SIGTERM)
	if err := command.Wait(); err != nil || time.Since(started) > 2*time.Second {
		t.Errorf("wait ends with %v after %s", err, time.Since(started))
	}
}

func TestAnInterruptedLoadReportsWhatItHas(t *testing.T) {
	var seen atomic.Int64
	address := site(t, func(w http.ResponseWriter, r *http.Request) { seen.Add(1) })
	var out strings.Builder
	command := asProcess(t, &out, "load", "--url", address, "--duration", "1m", "--rate", "50")
	for seen.Load() < 3 {
		time.Sleep(5 * time.Millisecond)
	}
	command.Process.Signal(syscall.SIGTERM)
	if err := command.Wait(); err != nil {
		t.Fatal(err)
	}
	var got report
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil || got.OK != seen.Load() || got.Failed != 0 {
		t.Errorf("the server saw %d, the report is %s", seen.Load(), out.String())
	}
}
