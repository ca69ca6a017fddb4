package main

import (
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
)

// options are the values of the flags that this server acts on.
type options struct {
	port, restPort, restThreads, restTimeoutMS                 int
	modelName, modelBasePath, modelConfigFile                  string
	configPollSeconds, fsPollSeconds                           int
	monitoringFile, batchingFile, grpcArguments                string
	batching, healthcheck, cors, warmup, labelsEarly           bool
	methodCheck                                                bool
	sessionParallelism, intraOpParallelism, interOpParallelism int
	loadThreads, unloadThreads, maxLoadRetries                 int
	loadRetryMicros                                            int
	version                                                    bool
}

// flag is one flag: its value's type is that of the pointer.
type flag struct {
	name  string
	value any // *int, *bool, *string or *float64
	wide  bool
	usage string
}

// flags lists TF Serving's flags with its defaults. What has no effect here is accepted and says so.
func (o *options) flags() []flag {
	threads := 4 * runtime.NumCPU()
	*o = options{port: 8500, restThreads: threads, restTimeoutMS: 30000, modelName: "default", fsPollSeconds: 1,
		warmup: true, maxLoadRetries: 5, loadRetryMicros: 60_000_000}
	const none = "Accepted; no effect in this server."
	text := func(preset string) *string { return &preset }
	whole := func(preset int) *int { return &preset }
	truth := func(preset bool) *bool { return &preset }
	return []flag{
		{"port", &o.port, false, "TCP port of the gRPC API, not 0."},
		{"grpc_socket_path", text(""), false, none},
		{"rest_api_port", &o.restPort, false, "Port of the HTTP/REST API; 0 is none. Not the one of --port."},
		{"rest_api_num_threads", &o.restThreads, false, "How many REST calls are worked on at a time."},
		{"rest_api_timeout_in_ms", &o.restTimeoutMS, false, "Timeout of a REST call."},
		{"rest_api_enable_cors_support", &o.cors, false, "Answer with CORS headers."},
		{"enable_batching", &o.batching, false, "Check the batching parameters; requests are not batched here."},
		{"allow_version_labels_for_unavailable_models", &o.labelsEarly, false, "Let an unused label name a version that is not available yet."},
		{"batching_parameters_file", &o.batchingFile, false, "Text BatchingParameters; needs --enable_batching."},
		{"enable_per_model_batching_parameters", truth(false), false, none},
		{"model_config_file", &o.modelConfigFile, false, "Text ModelServerConfig; takes the place of --model_name and --model_base_path."},
		{"model_config_file_poll_wait_seconds", &o.configPollSeconds, false, "Seconds between reads of that file; 0 reads it once."},
		{"model_name", &o.modelName, false, "Name of the model (without --model_config_file)."},
		{"model_base_path", &o.modelBasePath, false, "Folder of its versions (without --model_config_file)."},
		{"num_load_threads", &o.loadThreads, false, "How many versions load at a time once the first are loaded; 0 is one."},
		{"num_unload_threads", &o.unloadThreads, false, none},
		{"max_num_load_retries", &o.maxLoadRetries, false, "How often a failed load is tried again."},
		{"load_retry_interval_micros", &o.loadRetryMicros, true, "Microseconds before a failed load is tried again; negative is none."},
		{"file_system_poll_wait_seconds", &o.fsPollSeconds, false, "Seconds between looks for versions; 0 looks once, negative never."},
		{"flush_filesystem_caches", truth(true), false, none},
		{"tensorflow_session_parallelism", &o.sessionParallelism, true, "Checked against the next two; no other effect."},
		{"tensorflow_session_config_file", text(""), false, none},
		{"tensorflow_intra_op_parallelism", &o.intraOpParallelism, true, none},
		{"tensorflow_inter_op_parallelism", &o.interOpParallelism, true, none},
		{"use_alts_credentials", truth(false), false, none},
		{"ssl_config_file", text(""), false, none},
		{"platform_config_file", text(""), false, none},
		{"per_process_gpu_memory_fraction", new(float64), false, none},
		{"saved_model_tags", text("serve"), false, none},
		{"grpc_channel_arguments", &o.grpcArguments, false, "Comma-separated KEY=VALUE for the gRPC server; connection age, idle and keep-alive ones act."},
		{"grpc_max_threads", whole(threads), false, none},
		{"enable_model_warmup", &o.warmup, false, "Say in the log that a model has no warmup records."},
		{"num_request_iterations_for_warmup", whole(0), false, none},
		{"version", &o.version, false, "Print the version."},
		{"monitoring_config_file", &o.monitoringFile, false, "Text MonitoringConfig."},
		{"remove_unused_fields_from_bundle_metagraph", truth(true), false, none},
		{"prefer_tflite_model", truth(false), false, none},
		{"num_tflite_pools", whole(runtime.NumCPU()), false, none},
		{"num_tflite_interpreters_per_pool", whole(1), false, none},
		{"enable_signature_method_name_check", &o.methodCheck, false, "Check a signature's method name."},
		{"xla_cpu_compilation_enabled", truth(false), false, none},
		{"xla_gpu_compilation_enabled", truth(false), false, none},
		{"enable_profiler", truth(true), false, none},
		{"thread_pool_factory_config_file", text(""), false, none},
		{"mixed_precision", text(""), false, none},
		{"skip_initialize_tpu", truth(false), false, none},
		{"enable_grpc_healthcheck_service", &o.healthcheck, false, "Serve grpc.health.v1."},
		{"enable_serialization_as_tensor_content", truth(false), false, none},
	}
}

// parse takes an argument if it is this flag's. TensorFlow's flags have one form, --name=value; only a boolean may stand
// alone, and "--name value" is no form at all.
func (f flag) parse(argument string) (taken, ok bool) {
	rest, found := strings.CutPrefix(argument, "--"+f.name)
	if !found {
		return false, true
	}
	if truth, isBool := f.value.(*bool); isBool {
		*truth = rest == "" || rest == "=true"
		ok = *truth || rest == "=false"
	} else {
		if rest, found = strings.CutPrefix(rest, "="); !found {
			return false, true
		}
		ok = f.set(rest)
	}
	if !ok {
		log.error(srcFlags, "Couldn't interpret value %s for flag %s.", rest, f.name)
	}
	return true, ok
}

func (f flag) set(text string) bool {
	var err error
	switch value := f.value.(type) {
	case *string:
		*value = text
	case *float64:
		*value, err = strconv.ParseFloat(text, 32)
	case *int:
		bits := 32
		if f.wide {
			bits = 64
		}
		var parsed int64
		parsed, err = strconv.ParseInt(strings.TrimLeft(text, " \t"), 10, bits)
		*value = int(parsed)
	}
	return err == nil
}

// parseFlags reads the command line. It returns the arguments that no flag took, and false where the usage is to be
// shown and the process to end.
func parseFlags(arguments []string, flags []flag) (unknown []string, ok bool) {
	ok = true
	for i, argument := range arguments {
		if argument == "--" {
			unknown = append(unknown, arguments[i:]...)
			break
		}
		taken := false
		for _, known := range flags {
			var valid bool
			taken, valid = known.parse(argument)
			ok = ok && valid
			if taken {
				break
			}
		}
		if !taken {
			unknown = append(unknown, argument)
		}
	}
	return unknown, ok && (len(unknown) == 0 || unknown[0] != "--help")
}

func printUsage(out io.Writer, program string, flags []flag) {
	fmt.Fprintf(out, "usage: %s\nFlags:\n", program)
	for _, f := range flags {
		kind, preset := "string", ""
		switch value := f.value.(type) {
		case *string:
			preset = strconv.Quote(*value)
		case *float64:
			kind, preset = "float", fmt.Sprintf("%f", *value)
		case *bool:
			kind, preset = "bool", strconv.FormatBool(*value)
		case *int:
			kind, preset = "int32", strconv.Itoa(*value)
			if f.wide {
				kind = "int64"
			}
		}
		fmt.Fprintf(out, "\t%-33s\t%s\t%s\n", "--"+f.name+"="+preset, kind, f.usage)
	}
}
