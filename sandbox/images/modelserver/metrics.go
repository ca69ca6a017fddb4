package main

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// metrics counts what TF Serving counts, under its names, for the Prometheus page.
type metrics struct {
	mu         sync.Mutex
	counters   map[string]map[string]int64      // metric -> labels -> count
	histograms map[string]map[string]*histogram // metric -> labels -> distribution
}

type histogram struct {
	buckets []int64
	sum     float64
}

const (
	metricLoads     = ":tensorflow:cc:saved_model:load_attempt_count"
	metricLoadTime  = ":tensorflow:cc:saved_model:load_latency"
	metricGraphRuns = ":tensorflow:core:graph_runs"
	metricWarmup    = ":tensorflow:serving:model_warmup_latency"
	metricRequests  = ":tensorflow:serving:request_count"
	metricLatency   = ":tensorflow:serving:request_latency"
	metricRuntime   = ":tensorflow:serving:runtime_latency"
)

// latencyLimits are the real server's buckets in microseconds: 33 of them, from 10, each 1.8 times the one before.
var latencyLimits = func() []float64 {
	limits := make([]float64, 33)
	limit := 10.0
	for i := range limits {
		limits[i] = limit
		limit *= 1.8
	}
	return limits
}()

func newMetrics() *metrics {
	return &metrics{
		counters: map[string]map[string]int64{
			metricLoads: {}, metricLoadTime: {}, metricGraphRuns: {"": 0}, metricRequests: {},
		},
		histograms: map[string]map[string]*histogram{metricWarmup: {}, metricLatency: {}, metricRuntime: {}},
	}
}

// labels writes label pairs as the page has them; names and values alternate.
func labels(pairs ...string) string {
	escaped := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	var text strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		if i > 0 {
			text.WriteByte(',')
		}
		text.WriteString(pairs[i] + `="` + escaped.Replace(pairs[i+1]) + `"`)
	}
	return text.String()
}

func (m *metrics) add(metric, labels string, count int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counters[metric][labels] += count
}

func (m *metrics) observe(metric, labels string, took time.Duration) {
	micros := float64(took.Microseconds())
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.histograms[metric][labels]
	if h == nil {
		h = &histogram{buckets: make([]int64, len(latencyLimits)+1)}
		m.histograms[metric][labels] = h
	}
	bucket := 0
	for bucket < len(latencyLimits) && micros >= latencyLimits[bucket] {
		bucket++
	}
	h.buckets[bucket]++
	h.sum += micros
}

func (m *metrics) recordLoad(path string, loaded bool, took time.Duration) {
	outcome := map[bool]string{true: "success", false: "fail"}[loaded]
	m.add(metricLoads, labels("model_path", path, "status", outcome), 1)
	m.add(metricLoadTime, labels("model_path", path), took.Microseconds())
}

// recordRequest counts a finished call of any outcome; only successful ones enter the latency distribution.
func (m *metrics) recordRequest(model, api, entrypoint string, outcome code, took time.Duration) {
	m.add(metricRequests, labels("model_name", model, "status", outcome.String()), 1)
	if outcome == codeOK {
		m.observe(metricLatency, labels("model_name", model, "API", api, "entrypoint", entrypoint), took)
	}
}

func (m *metrics) recordRun(model string, took time.Duration) {
	m.add(metricGraphRuns, "", 1)
	m.observe(metricRuntime, labels("model_name", model, "API", "Predict", "runtime", "TF1"), took)
}

// page writes every metric, also those without a value yet, in order of their names.
func (m *metrics) page() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := map[string]bool{}
	for name := range m.counters {
		names[name] = true
	}
	for name := range m.histograms {
		names[name] = true
	}
	var page strings.Builder
	for _, name := range sortedKeys(names) {
		if counts, isCounter := m.counters[name]; isCounter {
			fmt.Fprintf(&page, "# TYPE %s counter\n", name)
			for _, labels := range sortedKeys(counts) {
				fmt.Fprintf(&page, "%s{%s} %d\n", name, labels, counts[labels])
			}
			continue
		}
		fmt.Fprintf(&page, "# TYPE %s histogram\n", name)
		for _, labels := range sortedKeys(m.histograms[name]) {
			m.histograms[name][labels].write(&page, name, labels)
		}
	}
	return page.String()
}

func (h *histogram) write(page *strings.Builder, name, labels string) {
	total := int64(0)
	for i, count := range h.buckets {
		total += count
		limit := "+Inf"
		if i < len(latencyLimits) {
			limit = strconv.FormatFloat(latencyLimits[i], 'g', 6, 64)
		}
		fmt.Fprintf(page, "%s_bucket{%s,le=\"%s\"} %d\n", name, labels, limit, total)
	}
	fmt.Fprintf(page, "%s_sum{%s} %s\n", name, labels, strconv.FormatFloat(h.sum, 'g', 6, 64))
	fmt.Fprintf(page, "%s_count{%s} %d\n", name, labels, total)
}
