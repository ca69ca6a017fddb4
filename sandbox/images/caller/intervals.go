package main

import (
	"encoding/json"
	"io"
	"sync"
	"time"
)

// intervals tells, while a run goes on, what became of the requests of each interval: one line of JSON each, in the form
// of the report. A request counts where it ended. Without a length there are none.
type intervals struct {
	length  time.Duration
	encoder *json.Encoder
	mutex   sync.Mutex
	tally   *tally // of the present interval, of all connections
	since   time.Time
}

// interval is one of the lines.
type interval struct {
	Until time.Time `json:"until"`
	report
}

func newIntervals(length time.Duration, out io.Writer, started time.Time) *intervals {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	return &intervals{length: length, encoder: encoder, tally: newTally(), since: started}
}

// note takes down what became of a request.
func (i *intervals) note(request ended) {
	if i.length == 0 {
		return
	}
	i.mutex.Lock()
	defer i.mutex.Unlock()
	i.tally.note(request)
}

// tell writes a line after each interval, until the function that it returns is called, which writes the rest.
func (i *intervals) tell() (finish func()) {
	if i.length == 0 {
		return func() {}
	}
	ticker, ending, told := time.NewTicker(i.length), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(told)
		for {
			select {
			case <-ticker.C:
				i.write()
			case <-ending:
				i.write()
				return
			}
		}
	}()
	return func() {
		ticker.Stop()
		close(ending)
		<-told
	}
}

func (i *intervals) write() {
	now := time.Now()
	i.mutex.Lock()
	passed, since := i.tally, i.since
	i.tally, i.since = newTally(), now
	i.mutex.Unlock()
	// A line that nobody can read any more is no reason to stop sending.
	_ = i.encoder.Encode(interval{now.UTC(), *passed.report(now.Sub(since))})
}
