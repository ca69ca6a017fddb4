package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	grpcstatus "google.golang.org/grpc/status"
)

const asServer = "MODELSERVER_TEST_AS_SERVER"

// TestMain lets the test binary be the server, so that what ends a process can be tested.
func TestMain(m *testing.M) {
	if os.Getenv(asServer) != "" {
		main()
	}
	os.Exit(m.Run())
}

// process is a running server with ports of its own.
type process struct {
	command    *exec.Cmd
	rest, grpc string
	output     *logBuffer
	ended      chan error
}

func launch(t *testing.T, arguments ...string) *process {
	t.Helper()
	rest, grpcPort := freePort(t), freePort(t)
	arguments = append([]string{"--rest_api_port=" + rest, "--port=" + grpcPort}, arguments...)
	p := &process{command: exec.Command(os.Args[0], arguments...), rest: "http://127.0.0.1:" + rest,
		grpc: "127.0.0.1:" + grpcPort, output: &logBuffer{}, ended: make(chan error, 1)}
	p.command.Env = append(os.Environ(), asServer+"=1")
	p.command.Stdout, p.command.Stderr = p.output, p.output
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.command.Wait() }()
	t.Cleanup(func() { p.command.Process.Kill() })
	return p
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return fmt.Sprint(listener.Addr().(*net.TCPAddr).Port)
}

func (p *process) get(path string) (int, string, error) {
	response, err := http.Get(p.rest + path)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

func (p *process) ready(t *testing.T, path string) {
	t.Helper()
	eventually(t, path, func() bool {
		code, _, err := p.get(path)
		return err == nil && code == 200
	})
}

func (p *process) exitCode(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
		return p.command.ProcessState.ExitCode()
	case <-time.After(10 * time.Second):
		t.Fatalf("the server does not end:\n%s", p.output)
		return 0
	}
}

func TestNoPortIsOpenBeforeTheModelIsLoaded(t *testing.T) {
	basePath := filepath.Join(t.TempDir(), "m")
	p := launch(t, "--model_name=m", "--model_base_path="+basePath)
	eventually(t, "the first look", func() bool { return strings.Contains(p.output.String(), "Could not find base path") })
	for _, address := range []string{strings.TrimPrefix(p.rest, "http://"), p.grpc} {
		if _, err := net.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s: got %v, want a refused connection", address, err)
		}
	}
	writeVersion(t, basePath, "1", halfPlusTwo)
	p.ready(t, "/v1/models/m/metadata")
}

func TestSIGTERMIsIgnored(t *testing.T) {
	basePath := filepath.Join(t.TempDir(), "m")
	writeVersion(t, basePath, "1", halfPlusTwo)
	p := launch(t, "--model_name=m", "--model_base_path="+basePath)
	p.ready(t, "/v1/models/m")
	for range 3 {
		p.command.Process.Signal(syscall.SIGTERM)
		time.Sleep(50 * time.Millisecond)
	}
	if code, _, err := p.get("/v1/models/m"); err != nil || code != 200 {
		t.Errorf("after SIGTERM: %d %v", code, err)
	}
}

func TestAModelThatCannotBeLoadedEndsTheProcessWithItsReason(t *testing.T) {
	basePath := filepath.Join(t.TempDir(), "m")
	writeVersion(t, basePath, "1", `{"load_error": "checksum mismatch"}`)
	p := launch(t, "--model_name=m", "--model_base_path="+basePath, "--max_num_load_retries=1", "--load_retry_interval_micros=1000")
	if code := p.exitCode(t); code != exitFailure {
		t.Errorf("exit code %d", code)
	}
	want := "Failed to start server. Error: UNKNOWN: 1 servable(s) did not become available: " +
		"{{{name: m version: 1} due to error: INVALID_ARGUMENT: checksum mismatch}, }\n"
	if !strings.Contains(p.output.String(), want) {
		t.Errorf("no %s in\n%s", want, p.output)
	}
}

func TestACrashingInputEndsTheProcess(t *testing.T) {
	basePath := filepath.Join(t.TempDir(), "m")
	writeVersion(t, basePath, "1", `{"crash_on_input": 13}`)
	p := launch(t, "--model_name=m", "--model_base_path="+basePath)
	p.ready(t, "/v1/models/m")
	if _, err := http.Post(p.rest+"/v1/models/m:predict", "", strings.NewReader(`{"instances": [13]}`)); err == nil {
		t.Error("the crashing request is answered")
	}
	if code := p.exitCode(t); code != crashExitCode {
		t.Errorf("exit code %d", code)
	}
}

func dial(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return connection
}

func TestGRPCHealthIsServedWhenAskedFor(t *testing.T) {
	basePath := filepath.Join(t.TempDir(), "m")
	writeVersion(t, basePath, "1", halfPlusTwo)
	for asked, want := range map[bool]map[string]codes.Code{
		true:  {"": codes.OK, "ModelService": codes.OK, "PredictionService": codes.OK, "other": codes.NotFound},
		false: {"": codes.Unimplemented},
	} {
		p := launch(t, "--model_name=m", "--model_base_path="+basePath,
			fmt.Sprintf("--enable_grpc_healthcheck_service=%v", asked), "--grpc_channel_arguments=grpc.max_connection_age_ms=60000,grpc.unknown=a")
		p.ready(t, "/v1/models/m")
		client := healthpb.NewHealthClient(dial(t, p.grpc))
		for service, code := range want {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			answer, err := client.Check(ctx, &healthpb.HealthCheckRequest{Service: service})
			cancel()
			if grpcstatus.Code(err) != code || code == codes.OK && answer.Status != healthpb.HealthCheckResponse_SERVING {
				t.Errorf("asked for: %v, service %q: got %v %v, want %v", asked, service, answer, err, code)
			}
		}
	}
}
