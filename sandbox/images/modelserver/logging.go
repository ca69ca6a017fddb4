package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// logger writes TF Serving's log format to stderr: time, severity letter, source file, message.
type logger struct {
	mu  sync.Mutex
	out io.Writer
}

var log = &logger{out: os.Stderr}

func (l *logger) write(severity byte, source, format string, args ...any) {
	stamp := time.Now().UTC().Format("2006-01-02 15:04:05.000000")
	line := fmt.Sprintf("%s: %c %s] %s\n", stamp, severity, source, fmt.Sprintf(format, args...))
	l.mu.Lock()
	defer l.mu.Unlock()
	io.WriteString(l.out, line)
}

func (l *logger) info(source, format string, args ...any)    { l.write('I', source, format, args...) }
func (l *logger) warning(source, format string, args ...any) { l.write('W', source, format, args...) }
func (l *logger) error(source, format string, args ...any)   { l.write('E', source, format, args...) }
func (l *logger) fatal(source, format string, args ...any)   { l.write('F', source, format, args...) }

// The source files that TF Serving's lines name. Log filters match on them; line numbers change with every release and
// are left out.
const (
	srcServer     = "tensorflow_serving/model_servers/server.cc"
	srcServerCore = "tensorflow_serving/model_servers/server_core.cc"
	srcSource     = "tensorflow_serving/sources/storage_path/file_system_storage_path_source.cc"
	srcManager    = "tensorflow_serving/core/basic_manager.cc"
	srcHarness    = "tensorflow_serving/core/loader_harness.cc"
	srcRetrier    = "tensorflow_serving/util/retrier.cc"
	srcWarmup     = "tensorflow_serving/servables/tensorflow/saved_model_warmup_util.cc"
	srcReader     = "external/org_tensorflow/tensorflow/cc/saved_model/reader.cc"
	srcLoader     = "external/org_tensorflow/tensorflow/cc/saved_model/loader.cc"
	srcFlags      = "external/org_tensorflow/tensorflow/core/util/command_line_flags.cc"
	srcAuth       = "external/local_xla/xla/tsl/platform/cloud/google_auth_provider.cc"
	srcTextFormat = "external/com_google_protobuf/src/google/protobuf/text_format.cc"
)
