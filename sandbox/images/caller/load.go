package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// plan is how many requests a run sends, how fast, over how many connections.
type plan struct {
	requests    int64         // 0: as many as fit in duration
	duration    time.Duration // 0: until requests are sent
	rate        float64       // a second, over all connections; 0: as fast as answers come
	connections int
	every       time.Duration // how often it says what became of them; 0: at the end alone
}

func loadCommand(arguments []string, out io.Writer) (any, error) {
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	var shared targetFlags
	var plan plan
	shared.define(flags)
	address := flags.String("url", "", "")
	flags.Int64Var(&plan.requests, "requests", 0, "")
	flags.DurationVar(&plan.duration, "duration", 0, "")
	flags.Float64Var(&plan.rate, "rate", 0, "")
	flags.IntVar(&plan.connections, "connections", 1, "")
	flags.DurationVar(&plan.every, "every", 0, "")
	positional, err := parse(flags, arguments)
	if err != nil {
		return nil, err
	}
	if len(positional) > 0 {
		return nil, fmt.Errorf("unexpected %q; the URL goes with --url", positional[0])
	}
	if err := plan.check(); err != nil {
		return nil, err
	}
	target, err := shared.target(*address)
	if err != nil {
		return nil, err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return plan.run(ctx, target, out), nil
}

func (p plan) check() error {
	switch {
	case p.requests < 0 || p.duration < 0 || p.rate < 0 || p.every < 0:
		return errors.New("--requests, --duration, --rate and --every are not negative")
	case p.requests == 0 && p.duration == 0:
		return errors.New("say how much: --requests or --duration")
	case p.connections < 1 || p.connections > 10_000:
		return fmt.Errorf("--connections is %d; it has to be 1-10000", p.connections)
	}
	return nil
}

// run sends the requests and reports on them. When ctx ends it stops sending and reports what came back until then.
func (p plan) run(ctx context.Context, target *target, out io.Writer) *report {
	started := time.Now()
	var taken atomic.Int64
	workers := p.connections
	if p.requests > 0 {
		workers = int(min(int64(workers), p.requests))
	}
	passing := newIntervals(p.every, out, started)
	finish := passing.tell()
	tallies := make([]*tally, workers)
	var finished sync.WaitGroup
	for i := range tallies {
		tallies[i] = newTally()
		finished.Go(func() { p.work(ctx, target, tallies[i], passing, started, &taken) })
	}
	finished.Wait()
	finish()
	total := newTally()
	for _, tally := range tallies {
		total.merge(tally)
	}
	return total.report(time.Since(started))
}

// work is one connection's share: it takes the next request's number, waits for its time, sends it.
func (p plan) work(
	ctx context.Context, target *target, tally *tally, passing *intervals, started time.Time, taken *atomic.Int64,
) {
	connection := &connection{target: target}
	defer connection.close()
	// What is on its way when the run is interrupted may still come back; only what waits is given up.
	sending := context.WithoutCancel(ctx)
	for {
		if p.duration > 0 && time.Since(started) >= p.duration {
			break
		}
		number := taken.Add(1) - 1
		if p.requests > 0 && number >= p.requests {
			break
		}
		if !p.wait(ctx, started, number) {
			break
		}
		sent := time.Now()
		answer, err := connection.send(sending)
		ended := ended{sent, time.Since(sent), answer, err}
		tally.note(ended)
		passing.note(ended)
	}
	tally.opened = connection.opened
}

// wait waits for a request's place in the rate. It is false when the run ends before.
func (p plan) wait(ctx context.Context, started time.Time, number int64) bool {
	if p.rate > 0 {
		due := time.Duration(float64(number) / p.rate * float64(time.Second))
		if p.duration > 0 && due >= p.duration {
			return false
		}
		if pause := due - time.Since(started); pause > 0 {
			timer := time.NewTimer(pause)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
		}
	}
	return ctx.Err() == nil
}
