package main

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxAnswers   = 20      // distinct answers listed in a report
	maxFailures  = 100     // failures listed in a report, the first ones
	maxTracked   = 200     // distinct answers told apart while counting
	maxBodyShown = 4 << 10 // bytes of a body in a report
	maxDetail    = 300     // bytes of it in a failure
	maxCached    = 4 << 10
)

// answerKey tells answers apart: two are the same with the same status and the same body but for white space.
type answerKey struct {
	status int
	body   string
}

// ended is a request that was answered, or was not: then err says why.
type ended struct {
	sent   time.Time
	took   time.Duration
	answer answer
	err    error
}

// tally counts one connection's requests; its size does not grow with their number.
type tally struct {
	requests, opened int64
	statuses         map[int]int64
	answers          map[answerKey]int64
	untold           int64 // answers beyond maxTracked distinct ones
	errors           map[string]int64
	examples         map[string]string // kind of error -> one text
	normalised       map[string]string // raw body -> as counted
	failures         []failure         // the first maxFailures
	latency          latencies
}

func newTally() *tally {
	return &tally{statuses: map[int]int64{}, answers: map[answerKey]int64{}, errors: map[string]int64{},
		examples: map[string]string{}, normalised: map[string]string{}}
}

// note takes down what became of a request.
func (t *tally) note(request ended) {
	t.requests++
	if request.err != nil {
		kind := kindOf(request.err)
		t.errors[kind]++
		t.examples[kind] = request.err.Error()
		t.failed(request, failure{Kind: kind, Detail: request.err.Error()})
		return
	}
	body := t.answered(request.answer)
	t.latency.add(request.took)
	if status := request.answer.status; !isOK(status) {
		t.failed(request, failure{Status: status, Detail: cut(body, maxDetail)})
	}
}

func (t *tally) failed(request ended, seen failure) {
	if len(t.failures) < maxFailures {
		seen.At, seen.Ms = request.sent.UTC(), round(milliseconds(request.took))
		t.failures = append(t.failures, seen)
	}
}

// answered counts an answer and returns its body as it is counted.
func (t *tally) answered(answer answer) string {
	t.statuses[answer.status]++
	body, known := t.normalised[string(answer.body)]
	if !known {
		body = normalise(answer.body)
		if len(t.normalised) < maxTracked && len(answer.body) <= maxCached {
			t.normalised[string(answer.body)] = body
		}
	}
	t.count(answerKey{answer.status, body}, 1)
	return body
}

func (t *tally) count(key answerKey, times int64) {
	if _, known := t.answers[key]; !known && len(t.answers) >= maxTracked {
		t.untold += times
		return
	}
	t.answers[key] += times
}

func (t *tally) merge(other *tally) {
	t.requests += other.requests
	t.opened += other.opened
	t.untold += other.untold
	for status, count := range other.statuses {
		t.statuses[status] += count
	}
	for key, count := range other.answers {
		t.count(key, count)
	}
	for kind, count := range other.errors {
		t.errors[kind] += count
		t.examples[kind] = other.examples[kind]
	}
	t.failures = append(t.failures, other.failures...)
	slices.SortFunc(t.failures, func(a, b failure) int { return a.At.Compare(b.At) })
	t.failures = t.failures[:min(len(t.failures), maxFailures)]
	t.latency.merge(&other.latency)
}

// normalise takes the white space out of JSON, evens it out in other text, and cuts what is long.
func normalise(body []byte) string {
	var compact bytes.Buffer
	text := ""
	if json.Compact(&compact, body) == nil {
		text = compact.String()
	} else {
		text = strings.Join(strings.Fields(string(body)), " ")
	}
	return strings.ToValidUTF8(cut(text, maxBodyShown), "\uFFFD")
}

// cut shortens a text that has more bytes than most, between two characters.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most] + "..."
}

func isOK(status int) bool { return status >= 200 && status < 300 }

// latencies is a distribution in buckets 1 % wide, from a microsecond to hours.
type latencies struct {
	buckets [2400]int64
	count   int64
	sum     time.Duration
	max     time.Duration
}

var bucketWidth = math.Log(1.01)

func (l *latencies) add(took time.Duration) {
	bucket := 0
	if micros := took.Microseconds(); micros > 1 {
		bucket = min(int(math.Log(float64(micros))/bucketWidth), len(l.buckets)-1)
	}
	l.buckets[bucket]++
	l.count++
	l.sum += took
	l.max = max(l.max, took)
}

func (l *latencies) merge(other *latencies) {
	for i, count := range other.buckets {
		l.buckets[i] += count
	}
	l.count += other.count
	l.sum += other.sum
	l.max = max(l.max, other.max)
}

// quantile gives the latency in milliseconds that share of the answers came within, 1 % exact; 0 without answers.
func (l *latencies) quantile(share float64) float64 {
	wanted := int64(math.Ceil(share * float64(l.count)))
	seen := int64(0)
	for i, count := range l.buckets {
		if seen += count; count > 0 && seen >= wanted {
			upper := math.Exp(float64(i+1)*bucketWidth) / 1000
			return round(min(upper, milliseconds(l.max)))
		}
	}
	return 0
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func round(value float64) float64 { return math.Round(value*1000) / 1000 }

// report is what `caller load` prints.
type report struct {
	Requests     int64             `json:"requests"`      // sent, which is answered plus failed
	Answered     int64             `json:"answered"`      // with any status
	OK           int64             `json:"ok"`            // with a status of 200-299
	Failed       int64             `json:"failed"`        // not answered
	Status       map[string]int64  `json:"status"`        // by status code
	Answers      []answerCount     `json:"answers"`       // distinct answers, the most frequent first
	OtherAnswers int64             `json:"other_answers"` // answers that the list above has no room for
	Errors       map[string]int64  `json:"errors"`        // by kind
	Examples     map[string]string `json:"error_examples"`
	Failures     []failure         `json:"failures"`   // the first that were not answered, or not with 200-299
	Latency      latencyReport     `json:"latency_ms"` // of answered requests
	Seconds      float64           `json:"seconds"`
	PerSecond    float64           `json:"requests_per_second"`
	Opened       int64             `json:"connections_opened"`
}

type failure struct {
	At     time.Time `json:"at"`     // when it was sent
	Ms     float64   `json:"ms"`     // until it was answered or given up
	Status int       `json:"status"` // 0 without an answer
	Kind   string    `json:"kind"`   // of the error; "" with an answer
	Detail string    `json:"detail"` // the error's text, or the answer's body
}

type answerCount struct {
	Status int    `json:"status"`
	Body   string `json:"body"`
	Count  int64  `json:"count"`
}

type latencyReport struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	Max  float64 `json:"max"`
}

func (t *tally) report(took time.Duration) *report {
	r := &report{Requests: t.requests, Answered: t.latency.count, Failed: t.requests - t.latency.count,
		Status: map[string]int64{}, Answers: []answerCount{}, OtherAnswers: t.untold, Errors: t.errors, Examples: t.examples,
		Failures: append([]failure{}, t.failures...), Seconds: round(took.Seconds()), Opened: t.opened}
	for status, count := range t.statuses {
		r.Status[strconv.Itoa(status)] = count
		if isOK(status) {
			r.OK += count
		}
	}
	for key, count := range t.answers {
		r.Answers = append(r.Answers, answerCount{key.status, key.body, count})
	}
	sort.Slice(r.Answers, func(i, j int) bool {
		a, b := r.Answers[i], r.Answers[j]
		if a.Count != b.Count {
			return a.Count > b.Count
		}
		return a.Status < b.Status || a.Status == b.Status && a.Body < b.Body
	})
	for len(r.Answers) > maxAnswers {
		last := len(r.Answers) - 1
		r.OtherAnswers += r.Answers[last].Count
		r.Answers = r.Answers[:last]
	}
	if took > 0 {
		r.PerSecond = round(float64(t.requests) / took.Seconds())
	}
	l := &t.latency
	r.Latency = latencyReport{P50: l.quantile(0.5), P90: l.quantile(0.9), P99: l.quantile(0.99), Max: round(milliseconds(l.max))}
	if l.count > 0 {
		r.Latency.Mean = round(milliseconds(l.sum) / float64(l.count))
	}
	return r
}
