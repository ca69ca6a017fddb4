package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// told splits what a load with --every prints into its lines, each an interval, and the report after them.
func told(t *testing.T, printed string) ([]interval, report) {
	t.Helper()
	var lines []interval
	for strings.HasPrefix(printed, `{"`) {
		line, rest, _ := strings.Cut(printed, "\n")
		var one interval
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		lines, printed = append(lines, one), rest
	}
	var total report
	if err := json.Unmarshal([]byte(printed), &total); err != nil {
		t.Fatalf("the report is %s: %v", printed, err)
	}
	return lines, total
}

func TestTheIntervalsAddUpToTheReport(t *testing.T) {
	var seen atomic.Int64
	address := site(t, func(w http.ResponseWriter, r *http.Request) {
		if seen.Add(1)%20 == 0 {
			w.WriteHeader(503)
		}
		fmt.Fprintf(w, "answer %d", seen.Load()%2)
	})
	var out, complaints strings.Builder
	arguments := []string{"load", "--url", address, "--requests", "200", "--rate", "200", "--connections", "3", "--every", "100ms"}
	if code := run(arguments, &out, &complaints); code != 0 {
		t.Fatalf("exit code %d: %s", code, complaints.String())
	}
	lines, total := told(t, out.String())
	if len(lines) < 3 || len(lines) > 20 {
		t.Errorf("a second in tenths is %d lines", len(lines))
	}
	sum, before := newTally(), time.Time{}
	for _, line := range lines {
		sum.requests += line.Requests
		sum.latency.count += line.Answered
		sum.statuses[200] += line.OK
		sum.statuses[503] += line.Status["503"]
		sum.failures = append(sum.failures, line.Failures...)
		if !line.Until.After(before) {
			t.Errorf("%s comes after %s", line.Until, before)
		}
		before = line.Until
	}
	if sum.requests != 200 || sum.latency.count != total.Answered || sum.statuses[200] != total.OK || sum.statuses[503] != 10 {
		t.Errorf("the lines are %+v, the report %+v", sum, total)
	}
	if len(sum.failures) != 10 || len(total.Failures) != 10 {
		t.Errorf("10 failures are listed as %v in the lines and as %v in the report", sum.failures, total.Failures)
	}
}

func TestAnIntervalIsToldWhileTheRunGoesOn(t *testing.T) {
	address := site(t, func(w http.ResponseWriter, r *http.Request) {})
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	command := asProcess(t, writer, "load", "--url", address, "--duration", "1m", "--rate", "50", "--every", "100ms")
	writer.Close()
	lines := bufio.NewReader(reader)
	started := time.Now()
	line, err := lines.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, `{"until":`) || time.Since(started) > 5*time.Second {
		t.Errorf("after %s the first line is %q: %v", time.Since(started), line, err)
	}
	command.Process.Signal(syscall.SIGTERM)
	rest := new(strings.Builder)
	if _, err := lines.WriteTo(rest); err != nil {
		t.Fatal(err)
	}
	if _, total := told(t, rest.String()); total.Requests == 0 {
		t.Errorf("the report is %+v", total)
	}
	if err := command.Wait(); err != nil {
		t.Error(err)
	}
}

func TestAFailureIsListedWithItsTimeAndWhatWasSaid(t *testing.T) {
	var seen atomic.Int64
	address := site(t, func(w http.ResponseWriter, r *http.Request) {
		switch seen.Add(1) {
		case 2:
			w.WriteHeader(503)
			fmt.Fprint(w, "no healthy upstream ", strings.Repeat("é", 1000))
		case 3:
			connection, _, _ := w.(http.Hijacker).Hijack()
			connection.Close()
		}
	})
	before := time.Now()
	got := load(t, "--url", address, "--requests", "4").Failures
	if len(got) != 2 {
		t.Fatalf("two failures are listed as %+v", got)
	}
	for i, failure := range got {
		if failure.At.Before(before) || failure.At.After(time.Now()) || failure.Ms <= 0 {
			t.Errorf("failure %d is %+v", i, failure)
		}
	}
	if got[0].Status != 503 || !strings.HasPrefix(got[0].Detail, "no healthy upstream é") || len(got[0].Detail) > maxDetail+3 {
		t.Errorf("a 503 is %+v", got[0])
	}
	if got[1].Status != 0 || got[1].Kind != "closed" || got[1].Detail == "" {
		t.Errorf("a closed connection is %+v", got[1])
	}
	if failures := load(t, "--url", "http://127.0.0.1:1", "--requests", "500", "--connections", "3").Failures; len(failures) != maxFailures {
		t.Errorf("500 failures are listed as %d", len(failures))
	}
}
