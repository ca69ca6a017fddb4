package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The release whose behaviour this server follows.
const servingVersion = "2.20.0"

const exitFailure = 255 // the real main returns -1

func main() {
	signal.Ignore(syscall.SIGTERM)
	os.Exit(run(os.Args, os.Stdout))
}

// run starts the server; it returns an exit code at once for --version, --help and what cannot be started.
func run(arguments []string, out io.Writer) int {
	var options options
	flags := options.flags()
	var usage strings.Builder
	printUsage(&usage, arguments[0], flags)
	unknown, ok := parseFlags(arguments[1:], flags)
	if !ok {
		io.WriteString(out, usage.String())
		return exitFailure
	}
	if options.version {
		fmt.Fprintf(out, "TensorFlow ModelServer: %s+standin\nTensorFlow Library: none\n", servingVersion)
		return 0
	}
	if len(unknown) > 0 {
		// The real server says so and goes on; a misspelt flag must not stop one here that starts there.
		fmt.Fprintf(out, "unknown argument: %s\n%s", unknown[0], usage.String())
	}
	failed := make(chan struct{})
	if failure := start(options, failed); failure != nil {
		fmt.Fprintf(out, "Failed to start server. Error: %s\n", failure)
		return exitFailure
	}
	<-failed
	return exitFailure
}

// check refuses what the real server refuses before it looks at any model.
func (o *options) check() *status {
	switch {
	case o.port == 0:
		return invalid("At least one of server_options.grpc_port or server_options.grpc_socket_path must be set.")
	case o.modelBasePath == "" && o.modelConfigFile == "":
		return invalid("Both server_options.model_base_path and server_options.model_config_file are empty!")
	}
	return nil
}

// checkTuning refuses contradicting flags and a bad batching file.
func (o *options) checkTuning() *status {
	switch {
	case !o.batching && o.batchingFile != "":
		return invalid("server_options.batching_parameters_file is set without setting server_options.enable_batching to true.")
	case o.intraOpParallelism > 0 && o.interOpParallelism > 0 && o.sessionParallelism > 0:
		return invalid("Either configure server_options.tensorflow_session_parallelism or " +
			"(server_options.tensorflow_intra_op_parallelism, server_options.tensorflow_inter_op_parallelism) separately. " +
			"You cannot configure all.")
	case o.batchingFile != "":
		return checkBatching(o.batchingFile)
	}
	return nil
}

// readModels gives the list of models of the command line.
func (o *options) readModels() ([]modelConfig, *status) {
	if o.modelConfigFile == "" {
		return singleModel(o.modelName, o.modelBasePath), nil
	}
	return readModelConfig(o.modelConfigFile)
}

// start loads the models, then opens the ports. failed is closed when a port stops answering.
func start(options options, failed chan struct{}) *status {
	if failure := options.check(); failure != nil {
		return failure
	}
	models, failure := options.readModels()
	if failure != nil {
		return failure
	}
	if failure := options.checkTuning(); failure != nil {
		return failure
	}
	core := newCore(options)
	if failure := core.reload(models); failure != nil {
		return failure
	}
	if options.configPollSeconds > 0 && options.modelConfigFile != "" {
		go core.watchConfig(time.Duration(options.configPollSeconds) * time.Second)
	}
	listener, failure := listenGRPC(core)
	if failure != nil {
		return failure
	}
	log.info(srcServer, "Using InsecureServerCredentials")
	go func() {
		err := newGRPCServer(core).Serve(listener)
		log.error(srcServer, "gRPC server ended: %v", err)
		close(failed)
	}()
	log.info(srcServer, "Running gRPC ModelServer at 0.0.0.0:%d ...", options.port)
	return startREST(core)
}

// startREST opens the REST port if there is one. A port that cannot be had is logged and left, as the real server does.
func startREST(core *core) *status {
	port := core.options.restPort
	if port == 0 {
		return nil
	}
	if port == core.options.port {
		log.error(srcServer, "server_options.http_port cannot be same as grpc_port. Please use a different port for HTTP/REST API. "+
			"Skipped exporting HTTP/REST API.")
		return nil
	}
	metricsPath, failure := readMetricsPath(core.options.monitoringFile)
	if failure != nil {
		return failure
	}
	listener, err := net.Listen("tcp", ":"+strconv.Itoa(port))
	if err != nil {
		log.error(srcServer, "Failed to start HTTP Server at localhost:%d: %v", port, err)
		return nil
	}
	server := &http.Server{Handler: newRestAPI(core, metricsPath), ReadHeaderTimeout: time.Minute}
	go func() {
		err := server.Serve(listener)
		log.error(srcServer, "HTTP server ended: %v", err)
	}()
	log.info(srcServer, "Exporting HTTP/REST API at:localhost:%d ...", port)
	return nil
}
