package main

import (
	"strings"
	"testing"
)

func TestFlagsHaveTensorFlowsSyntax(t *testing.T) {
	captureLog(t)
	var o options
	unknown, ok := parseFlags([]string{
		"--port=1", "--rest_api_port=2", "--model_name=m=n", "--model_base_path=", "--enable_batching", "--rest_api_num_threads= 3",
		"--enable_model_warmup=false", "--enable_grpc_healthcheck_service=true", "--load_retry_interval_micros=-9000000000",
		"--per_process_gpu_memory_fraction=0.5", "--port", "9", "-port=8", "--", "--version",
	}, o.flags())
	if !ok || strings.Join(unknown, " ") != "--port 9 -port=8 -- --version" {
		t.Errorf("ok is %v, left over is %q", ok, unknown)
	}
	if o.port != 1 || o.restPort != 2 || o.modelName != "m=n" || o.modelBasePath != "" || !o.batching || o.warmup ||
		!o.healthcheck || o.loadRetryMicros != -9_000_000_000 || o.version || o.restThreads != 3 {
		t.Errorf("the options are %+v", o)
	}
}

func TestDefaultsAreTheRealServers(t *testing.T) {
	var o options
	o.flags()
	if o.port != 8500 || o.restPort != 0 || o.restTimeoutMS != 30000 || o.modelName != "default" || o.fsPollSeconds != 1 ||
		o.maxLoadRetries != 5 || o.loadRetryMicros != 60_000_000 || !o.warmup || o.healthcheck || o.configPollSeconds != 0 {
		t.Errorf("the defaults are %+v", o)
	}
}

func TestABadValueShowsTheUsageAndEnds(t *testing.T) {
	for argument, complaint := range map[string]string{
		"--port=http":                 "Couldn't interpret value http for flag port.",
		"--port=":                     "Couldn't interpret value  for flag port.",
		"--port=99999999999":          "Couldn't interpret value 99999999999 for flag port.",
		"--enable_batching=yes":       "Couldn't interpret value =yes for flag enable_batching.",
		"--rest_api_timeout_in_ms=1s": "Couldn't interpret value 1s for flag rest_api_timeout_in_ms.",
		"--help":                      "",
	} {
		captured := captureLog(t)
		var out strings.Builder
		if code := run([]string{"server", argument, "--version"}, &out); code != exitFailure {
			t.Errorf("%s ends with %d", argument, code)
		}
		if !strings.HasPrefix(out.String(), "usage: server\nFlags:\n\t--port=8500") || !strings.Contains(captured.String(), complaint) {
			t.Errorf("%s prints %.80s, logs %s", argument, out.String(), captured)
		}
	}
}

func TestVersionAndWhatCannotStart(t *testing.T) {
	missing := t.TempDir() + "/missing"
	garbage := writeFile(t, t.TempDir()+"/garbage", "improperly formatted file")
	badBatch := writeFile(t, t.TempDir()+"/batch", "num_batch_threads { value: 0 }")
	const failed = "Failed to start server. Error: "
	for arguments, want := range map[string]string{
		"--version":                       "TensorFlow ModelServer: 2.20.0",
		"":                                failed + "INVALID_ARGUMENT: Both server_options.model_base_path and server_options.model_config_file are empty!\n",
		"--port=0 --model_base_path=/m":   failed + "INVALID_ARGUMENT: At least one of server_options.grpc_port or server_options.grpc_socket_path must be set.\n",
		"--model_config_file=" + missing:  failed + "NOT_FOUND: " + missing + "; No such file or directory\n",
		"--model_config_file=" + garbage:  failed + "INVALID_ARGUMENT: Invalid protobuf file: '" + garbage + "'\n",
		"--model_base_path=relative/path": failed + "INVALID_ARGUMENT: Expected model default to have an absolute path or URI; got base_path()=relative/path\n",
		"--model_base_path=/m --batching_parameters_file=" + badBatch: failed + "INVALID_ARGUMENT: server_options.batching_parameters_file is set " +
			"without setting server_options.enable_batching to true.\n",
		"--model_base_path=/m --enable_batching --batching_parameters_file=" + badBatch: failed +
			"INVALID_ARGUMENT: num_batch_threads must be positive; was 0\n",
		"--model_base_path=/m --tensorflow_session_parallelism=1 --tensorflow_intra_op_parallelism=1 --tensorflow_inter_op_parallelism=1": failed +
			"INVALID_ARGUMENT: Either configure server_options.tensorflow_session_parallelism",
		"--modle_name=m": "unknown argument: --modle_name=m\nusage: server",
	} {
		captureLog(t)
		var out strings.Builder
		code := run(append([]string{"server"}, strings.Fields(arguments)...), &out)
		if wanted := map[bool]int{true: 0, false: exitFailure}[arguments == "--version"]; code != wanted || !strings.HasPrefix(out.String(), want) {
			t.Errorf("%s: exit code %d, prints %.300s", arguments, code, out.String())
		}
	}
}
