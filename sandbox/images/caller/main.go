// Command caller is the client of the sandbox's tests: a pod that idles in the mesh and, by exec, sends requests.
//
//	caller wait                                  idle until SIGTERM, then end at once
//	caller load --url URL --requests N ...       send many requests, print counts and latencies as one JSON object;
//	                                             with --every, such an object on one line for each interval as well
//	caller get URL ...                           send one request, print what became of it as one JSON object
//	caller grpc URL ...                          make one unary gRPC call, print what became of it as one JSON object
//
// It never retries. Go's HTTP client would: a request that finds its kept-alive connection closed is sent again without a
// word, and a test that counts lost requests would count none. So connections are handled here, one for each worker, and
// what breaks on the way is an error in the report. Only a connection seen to be closed before anything was written to it
// is replaced, which is no retry.
//
// Failed requests are a result (exit code 0); wrong use is exit code 2, with the reason on stderr.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

const exitUsage = 2

const usage = `usage:
  caller wait
  caller load --url URL (--requests N | --duration 30s) [--connections N] [--rate N] [--every 1s] [--body TEXT]
              [--method M] [--timeout 5s] [--header NAME=VALUE]... [--host HOST] [--resolve HOST:PORT:ADDRESS]
              [--insecure | --ca FILE]
  caller get URL [--body TEXT] [--method M] [--timeout 5s] [--header NAME=VALUE]... [--host HOST]
              [--resolve HOST:PORT:ADDRESS] [--insecure | --ca FILE]
  caller grpc URL [--message BASE64] [--timeout 5s] [--header NAME=VALUE]... [--host HOST]
`

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run does one subcommand and returns the exit code.
func run(arguments []string, out, complaints io.Writer) int {
	subcommand := ""
	if len(arguments) > 0 {
		subcommand, arguments = arguments[0], arguments[1:]
	}
	var report any
	var err error
	switch subcommand {
	case "wait":
		if len(arguments) > 0 {
			err = fmt.Errorf("wait takes no arguments, not %q", arguments)
			break
		}
		ended := make(chan os.Signal, 1)
		signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT) // as process 1 it would not be ended otherwise
		<-ended
		return 0
	case "load":
		report, err = loadCommand(arguments, out)
	case "get":
		report, err = getCommand(arguments)
	case "grpc":
		report, err = grpcCommand(arguments)
	default:
		err = fmt.Errorf("no subcommand %q", subcommand)
	}
	if errors.Is(err, flag.ErrHelp) {
		io.WriteString(out, usage)
		return 0
	}
	if err != nil {
		fmt.Fprintf(complaints, "caller %s: %v\n%s", subcommand, err, usage)
		return exitUsage
	}
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(report); err != nil {
		fmt.Fprintf(complaints, "caller %s: %v\n", subcommand, err)
		return 1
	}
	return 0
}

// parse reads flags that may stand before and after positional arguments, which it returns.
func parse(flags *flag.FlagSet, arguments []string) ([]string, error) {
	flags.SetOutput(io.Discard)
	var positional []string
	for {
		if err := flags.Parse(arguments); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			return positional, nil
		}
		positional = append(positional, flags.Arg(0))
		arguments = flags.Args()[1:]
	}
}

// headers collects --header NAME=VALUE.
type headers []string

func (h *headers) String() string { return strings.Join(*h, ",") }

func (h *headers) Set(pair string) error {
	name, value, found := strings.Cut(pair, "=")
	if !found || name == "" || strings.ContainsAny(pair, "\r\n") || strings.ContainsAny(name, " :") {
		return errors.New("a header is NAME=VALUE")
	}
	*h = append(*h, name+": "+value)
	return nil
}

func (h headers) values() http.Header {
	values := http.Header{}
	for _, header := range h {
		name, value, _ := strings.Cut(header, ": ")
		values.Add(name, value)
	}
	return values
}
