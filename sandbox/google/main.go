// Command google stands in for what a model server on GKE meets of Google's: Cloud Storage (google storage) and the
// metadata server that hands out tokens of Workload Identity (google metadata). Both run on the sandbox for tests.
//
// Storage is fsouza/fake-gcs-server, read-only, behind a front that wants a token: of the JSON API and of
// https://storage.googleapis.com/BUCKET/OBJECT it serves what TensorFlow asks for. Without a token, or with one that has
// ended or was not made here, the answer is 401; for an identity that may not read the bucket 403, and so it is for the
// bucket's own metadata, since the role of a reader (roles/storage.objectViewer) does not have storage.buckets.get.
//
// The metadata server finds the asking pod by its address, as GKE's does, and answers for its Kubernetes service account:
// as the Google service account that the annotation iam.gke.io/gcp-service-account names, or, without one, as itself,
// POOL[NAMESPACE/NAME]. Requests without the header Metadata-Flavor are refused, forwarded ones too.
//
// Who may do what stands in one file (see access), which is read anew for each request. What is not here: writing,
// IAM's own API, conditions, groups, and scopes of tokens, which are signed strings and no OAuth tokens.
package main

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

const usage = "usage: google storage|metadata FLAGS; google storage -h lists them"

func main() {
	if err := run(os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run serves until it cannot; it logs one line of JSON for each request.
func run(arguments []string, log io.Writer) error {
	if len(arguments) == 0 {
		return errors.New(usage)
	}
	flags := flag.NewFlagSet(arguments[0], flag.ContinueOnError)
	listen := flags.String("listen", "", "address and port")
	keyFile := flags.String("token-key", "", "file whose contents sign tokens; the same for both commands")
	access := flags.String("access", "", "JSON file that says who may do what; none: everybody everything")
	switch arguments[0] {
	case "storage":
		buckets := flags.String("buckets", "", "folder with a folder for each bucket; read once")
		certificate := flags.String("certificate", "", "PEM file with the server's certificate and its key")
		if err := flags.Parse(arguments[1:]); err != nil {
			return err
		}
		key, err := os.ReadFile(*keyFile)
		if err != nil {
			return err
		}
		handler, err := newStorage(*buckets, key, accessFile(*access))
		if err != nil {
			return err
		}
		server := newServer(*listen, logged(log, handler.serve))
		server.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){} // HTTP/1.1, as TensorFlow speaks
		return server.ListenAndServeTLS(*certificate, *certificate)
	case "metadata":
		kubeconfig := flags.String("kubeconfig", "", "kubeconfig in JSON with one cluster and one user by certificate")
		pool := flags.String("workload-pool", "", "PROJECT.svc.id.goog")
		seconds := flags.Int("token-seconds", 3600, "how long a token is good for")
		if err := flags.Parse(arguments[1:]); err != nil {
			return err
		}
		key, err := os.ReadFile(*keyFile)
		if err != nil {
			return err
		}
		pods, err := newCluster(*kubeconfig)
		if err != nil {
			return err
		}
		handler := &metadata{pods: pods, pool: *pool, key: key, access: accessFile(*access),
			lifetime: time.Duration(*seconds) * time.Second}
		return newServer(*listen, logged(log, handler.serve)).ListenAndServe()
	default:
		return errors.New(usage)
	}
}

func newServer(listen string, handler http.Handler) *http.Server {
	return &http.Server{Addr: listen, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
}
