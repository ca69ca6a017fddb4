package main

import (
	"net"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
)

// newGRPCServer makes the server of --port. The health service is there when asked for; it never says anything but
// SERVING, as the real one does not: the port opens only when the models are there.
func newGRPCServer(core *core) *grpc.Server {
	server := grpc.NewServer(channelArguments(core.options.grpcArguments)...)
	registerAPI(server, core)
	if core.options.healthcheck {
		checks := health.NewServer()
		checks.SetServingStatus("ModelService", healthpb.HealthCheckResponse_SERVING)
		checks.SetServingStatus("PredictionService", healthpb.HealthCheckResponse_SERVING)
		healthpb.RegisterHealthServer(server, checks)
	}
	return server
}

// channelArguments turns gRPC's C++ channel arguments into options of this server; those that it has no option for
// change nothing, as in the real server.
func channelArguments(list string) []grpc.ServerOption {
	var parameters keepalive.ServerParameters
	policy := keepalive.EnforcementPolicy{MinTime: 5 * time.Minute}
	given := []grpc.ServerOption{grpc.MaxRecvMsgSize(1<<31 - 1), grpc.MaxSendMsgSize(1<<31 - 1)}
	for argument := range strings.SplitSeq(list, ",") {
		key, value, _ := strings.Cut(argument, "=")
		number, err := strconv.ParseInt(value, 10, 32)
		if err != nil {
			continue
		}
		span := time.Duration(number) * time.Millisecond
		switch key {
		case "grpc.max_connection_age_ms":
			parameters.MaxConnectionAge = span
		case "grpc.max_connection_age_grace_ms":
			parameters.MaxConnectionAgeGrace = span
		case "grpc.max_connection_idle_ms":
			parameters.MaxConnectionIdle = span
		case "grpc.keepalive_time_ms":
			parameters.Time = span
		case "grpc.keepalive_timeout_ms":
			parameters.Timeout = span
		case "grpc.http2.min_ping_interval_without_data_ms", "grpc.http2.min_recv_ping_interval_without_data_ms":
			policy.MinTime = span
		case "grpc.keepalive_permit_without_calls":
			policy.PermitWithoutStream = number != 0
		case "grpc.max_concurrent_streams":
			given = append(given, grpc.MaxConcurrentStreams(uint32(max(number, 1))))
		}
	}
	return append(given, grpc.KeepaliveParams(parameters), grpc.KeepaliveEnforcementPolicy(policy))
}

func listenGRPC(core *core) (net.Listener, *status) {
	listener, err := net.Listen("tcp4", "0.0.0.0:"+strconv.Itoa(core.options.port))
	if err != nil {
		log.error(srcServer, "No address added out of total 1 resolved: %v", err)
		return nil, invalid("Failed to BuildAndStart gRPC server")
	}
	return listener, nil
}
