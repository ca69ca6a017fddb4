package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"sync/atomic"
	"time"
)

// modelFile is what BASE/N/model.json may say. Every field may be left out.
type modelFile struct {
	// The answer for an input x is scale * x + offset, in float32.
	Scale  float32 `json:"scale"`
	Offset float32 `json:"offset"`
	// Loading takes load_seconds, then fails with load_error if that is not empty, under load_error_code (a canonical
	// name; INVALID_ARGUMENT if empty).
	LoadSeconds   float64 `json:"load_seconds"`
	LoadError     string  `json:"load_error"`
	LoadErrorCode string  `json:"load_error_code"`
	// Of the requests, error_ratio (0-1) are answered with error_message under error_code (INTERNAL, HTTP 500, if empty).
	// They are spread evenly: 0.05 is every 20th.
	ErrorRatio   float64 `json:"error_ratio"`
	ErrorCode    string  `json:"error_code"`
	ErrorMessage string  `json:"error_message"`
	// An answer takes latency_ms longer than it needs.
	LatencyMS float64 `json:"latency_ms"`
	// The process ends, as by a failed check in native code, when an input is crash_on_input, and at crash_ratio (0-1) of
	// the requests.
	CrashOnInput *float32 `json:"crash_on_input"`
	CrashRatio   float64  `json:"crash_ratio"`
}

const (
	modelFileName   = "model.json"
	defaultRunError = "Blas GEMM launch failed : a.shape=(1, 1), b.shape=(1, 1), m=1, n=1, k=1"
	crashExitCode   = 134 // 128 + SIGABRT
)

// model is a loaded version.
type model struct {
	modelFile
	errorCode code
	errors    spread
	crashes   spread
	exit      func(int)
}

// spread picks a share of calls, evenly spaced, so that a count of them is exact and no test depends on luck.
type spread struct{ calls atomic.Int64 }

func (s *spread) next(ratio float64) bool {
	if ratio <= 0 {
		return false
	}
	n := float64(s.calls.Add(1))
	const slack = 1e-9 // 20 * 0.05 has to reach 1
	return math.Floor(n*ratio+slack) > math.Floor((n-1)*ratio+slack)
}

// loadModel reads a version folder; it takes as long as the model's file says.
func loadModel(folder string) (*model, *status) {
	log.info(srcReader, "Reading SavedModel from: %s", folder)
	files, file := fileSystemOf(folder), joinPath(folder, modelFileName)
	failure := files.exists(file)
	if failure != nil && failure.code == codeNotFound {
		return nil, &status{codeNotFound, "Could not find SavedModel .pb or .pbtxt at supplied export directory path: " +
			folder + ". Check that the directory exists and that you have the right permissions for accessing it."}
	}
	if failure != nil {
		return nil, failure
	}
	text, failure := files.read(file)
	if failure != nil {
		return nil, failure
	}
	loaded := &model{exit: os.Exit}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&loaded.modelFile); err != nil {
		return nil, &status{codeDataLoss, fmt.Sprintf("Can't parse %s as model: %v", file, err)}
	}
	loadCode, failure := loaded.check()
	if failure != nil {
		return nil, failure
	}
	time.Sleep(time.Duration(loaded.LoadSeconds * float64(time.Second)))
	if loaded.LoadError != "" {
		return nil, &status{loadCode, loaded.LoadError}
	}
	return loaded, nil
}

// check refuses values that have no meaning, and gives the code of the load error.
func (m *model) check() (loadCode code, failure *status) {
	var known bool
	if loadCode, known = codeNamed(orDefault(m.LoadErrorCode, "INVALID_ARGUMENT")); !known || loadCode == codeOK {
		return 0, invalid("load_error_code " + m.LoadErrorCode + " is no error code")
	}
	if m.errorCode, known = codeNamed(orDefault(m.ErrorCode, "INTERNAL")); !known || m.errorCode == codeOK {
		return 0, invalid("error_code " + m.ErrorCode + " is no error code")
	}
	m.ErrorMessage = orDefault(m.ErrorMessage, defaultRunError)
	for name, ratio := range map[string]float64{"error_ratio": m.ErrorRatio, "crash_ratio": m.CrashRatio} {
		if ratio < 0 || ratio > 1 {
			return 0, invalid(fmt.Sprintf("%s is %g; a ratio is 0-1", name, ratio))
		}
	}
	for name, span := range map[string]float64{"load_seconds": m.LoadSeconds, "latency_ms": m.LatencyMS} {
		if span < 0 || span > 86_400_000 {
			return 0, invalid(fmt.Sprintf("%s is %g; a time is not negative and under a day", name, span))
		}
	}
	return loadCode, nil
}

func orDefault(text, preset string) string {
	if text == "" {
		return preset
	}
	return text
}

// run answers one request, in place. A timeout of 0 is none.
func (m *model) run(values []float32, timeout time.Duration) *status {
	crash := m.crashes.next(m.CrashRatio)
	for _, value := range values {
		crash = crash || (m.CrashOnInput != nil && value == *m.CrashOnInput)
	}
	if crash {
		log.fatal("tensorflow/core/framework/tensor.cc", "Check failed: dtype() == expected_dtype (1 vs. 2) float expected, got double")
		m.exit(crashExitCode)
	}
	if delay := time.Duration(m.LatencyMS * float64(time.Millisecond)); delay > 0 {
		if timeout > 0 && delay > timeout {
			time.Sleep(timeout)
			return &status{codeDeadlineExceeded, "Timed out waiting for notification"}
		}
		time.Sleep(delay)
	}
	if m.errors.next(m.ErrorRatio) {
		return &status{m.errorCode, m.ErrorMessage}
	}
	for i := range values {
		values[i] = m.Scale*values[i] + m.Offset
	}
	return nil
}
