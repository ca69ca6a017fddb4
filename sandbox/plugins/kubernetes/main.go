// Command pulumi-resource-kubernetes stands in for Pulumi's Kubernetes plugin where that cannot be had: on machines that
// can build Go modules but download no released plugins. Where the real plugin is installed, it is used instead.
//
// It does what the real plugin is documented to do, for the resources that this project's program and tests use:
// Kubernetes objects of any kind in server-side-apply mode, which is the real one's default, and helm.v3.Release.
// Readiness is awaited for Deployments, StatefulSets, DaemonSets, Services, Pods, Jobs and PersistentVolumeClaims, and
// by the waitFor annotation for any kind; an Ingress is ready as soon as it exists. Client-side apply, rendering to
// YAML, Patch resources, yaml/v2, Kustomize and helm.v4.Chart are refused with an error that names them.
//
// The engine starts it with the engine's address as the argument and reads the plugin's port from its first line.
package main

import (
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"k8s.io/klog/v2"

	"tfserving-mesh/sandbox/plugins/kubernetes/internal/engine"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/provider"
)

// patience is for what is under way when the plugin is to end; the engine itself waits five seconds.
const patience = 4 * time.Second

// version is the real plugin's version whose behaviour this follows.
var version = "4.34.2"

func main() {
	// Libraries log what the engine would show as the user's own output, with values that may be secret.
	log.SetOutput(io.Discard)
	klog.SetLogger(logr.Discard())
	if err := serve(engineAddress(os.Args[1:])); err != nil {
		fmt.Fprintf(os.Stderr, "pulumi-resource-kubernetes: %v\n", err)
		os.Exit(1)
	}
}

// engineAddress finds the address among flags for logging and tracing, which have no meaning here.
func engineAddress(arguments []string) string {
	for i := 0; i < len(arguments); i++ {
		switch argument := arguments[i]; {
		case argument == "-tracing" || argument == "--tracing" || argument == "-v" || argument == "--v":
			i++
		case !strings.HasPrefix(argument, "-"):
			return argument
		}
	}
	return ""
}

func serve(address string) error {
	host, err := engine.Connect(address)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("opening a port for the engine: %w", err)
	}
	plugin := provider.New(host, version)
	server := grpc.NewServer(
		grpc.MaxRecvMsgSize(math.MaxInt32), grpc.MaxSendMsgSize(math.MaxInt32), grpc.UnaryInterceptor(plugin.Track))
	pulumirpc.RegisterResourceProviderServer(server, plugin)
	go func() {
		waitForEnd()
		plugin.Stop(patience)
		os.Exit(0)
	}()
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	return server.Serve(listener)
}

// waitForEnd returns when the engine wants the plugin to end, or is no more. The engine ends its plugins by an interrupt;
// one typed at the terminal does not reach them, since they are in process groups of their own. An engine that was
// killed cannot do that, but the pipe that it holds to the plugin's input closes with it.
func waitForEnd() {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, os.Interrupt, syscall.SIGTERM)
	gone := make(chan struct{})
	if info, err := os.Stdin.Stat(); err == nil && info.Mode()&os.ModeNamedPipe != 0 {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			close(gone)
		}()
	}
	select {
	case <-asked:
	case <-gone:
	}
}
