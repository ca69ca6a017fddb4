// Command pulumi-language-python is a stand-in for Pulumi's Python language host, for machines on which the real one
// cannot be had: it comes with Pulumi's own downloads only. The sandbox uses it nowhere else.
//
// It does what the real host is documented to do for `pulumi up`, `preview`, `refresh`, `destroy`, `install`, `about`,
// dynamic providers, policy packs and component plugins. What it does not do is code generation (`pulumi convert`,
// `pulumi package add`) and debugging (`--attach-debugger`); both are refused with a message.
//
// The engine starts it twice per `pulumi up`, so it is a small binary that starts in milliseconds, and only a program's
// run starts a Python interpreter. Called as `pulumi-resource-pulumi-python` it starts the SDK's dynamic provider.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
)

// Set at build time to the version of the CLI it is built for.
var version = "v3.250.0"

func main() {
	if filepath.Base(os.Args[0]) == dynamicProviderName {
		fail(runDynamicProvider(os.Args[1:]))
	}

	showVersion := flag.Bool("version", false, "print the version and exit")
	// The engine passes this on to every plugin; the SDK's logging registers the others that it passes on.
	flag.String("tracing", "", "accepted and ignored")
	flag.Parse()
	if *showVersion {
		fmt.Println(version)
		return
	}
	fail(serve(flag.Arg(0)))
}

// serve answers the engine until it closes the connection's process or asks this one to end.
func serve(engineAddress string) error {
	host := newHost(engineAddress)
	handle, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{
		Init: func(server *grpc.Server) error {
			pulumirpc.RegisterLanguageRuntimeServer(server, host)
			return nil
		},
	})
	if err != nil {
		return fmt.Errorf("could not start the language host: %w", err)
	}
	fmt.Println(handle.Port)
	err = untilEnd(handle.Done)
	// Not a graceful stop of the server: nothing is waiting for an answer any more, and it takes most of a second.
	host.end()
	return err
}

// untilEnd waits until the work has ended, this process is asked to end, or the engine is gone.
func untilEnd(work <-chan error) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	select {
	case <-signals:
		return nil
	case <-engineGone():
		return nil
	case err := <-work:
		return err
	}
}

// engineGone is closed when the engine has died. It holds the other end of this process's standard input, so that
// ends with it, however it dies. A host started by hand, without that pipe, is ended by a signal only.
func engineGone() <-chan struct{} {
	gone := make(chan struct{})
	info, err := os.Stdin.Stat()
	if err != nil || info.Mode()&fs.ModeNamedPipe == 0 {
		return gone
	}
	go func() {
		defer close(gone)
		_, _ = io.Copy(io.Discard, bufio.NewReader(os.Stdin)) // how it ended does not matter
	}()
	return gone
}

func fail(err error) {
	if err == nil {
		os.Exit(0)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
