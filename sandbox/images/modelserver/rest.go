package main

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// restAPI answers the HTTP port.
type restAPI struct {
	core        *core
	metricsPath string        // "" is no metrics page
	threads     chan struct{} // calls at a time
}

func newRestAPI(core *core, metricsPath string) *restAPI {
	return &restAPI{core: core, metricsPath: metricsPath, threads: make(chan struct{}, max(core.options.restThreads, 1))}
}

var (
	apiPath     = regexp.MustCompile(`^(?i:/v1/.*)$`)
	predictPath = regexp.MustCompile(
		`^(?i:/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?:(classify|regress|predict))$`)
	statusPath = regexp.MustCompile(
		`^(?i:/v1/models(?:/([^/:]+))?(?:/versions/(\d+)|/labels/([^/:]+))?(?:/(metadata))?)$`)
)

func (a *restAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	if a.metricsPath != "" && path == a.metricsPath {
		reply(w, http.StatusOK, "text/plain", a.core.metrics.page())
		return
	}
	if !apiPath.MatchString(path) {
		w.Header().Set("Connection", "close")
		reply(w, http.StatusNotFound, "text/html",
			"<HTML><HEAD>\n<TITLE>404 Not Found</TITLE>\n</HEAD><BODY>\n<H1>Not Found</H1>\n</BODY></HTML>\n")
		return
	}
	a.threads <- struct{}{}
	defer func() { <-a.threads }()
	started := time.Now()
	if a.core.options.cors {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Allow-Methods", "POST, GET")
		w.Header().Set("Access-Control-Allow-Headers", "Content-Type")
	}
	if r.Method == http.MethodOptions {
		preflight(w, r)
		return
	}
	call := restCall{core: a.core}
	body, failure := call.handle(r, path)
	outcome := codeOK
	if failure != nil {
		outcome, body = failure.code, body+errorBody(failure.message)
	}
	a.core.metrics.recordRequest(call.spec.name, call.method, "REST", outcome, time.Since(started))
	reply(w, outcome.httpStatus(), "application/json", body)
}

func reply(w http.ResponseWriter, code int, kind, body string) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	io.WriteString(w, body) // a caller that has gone away is no concern of the server's
}

func preflight(w http.ResponseWriter, r *http.Request) {
	origin := r.Header.Get("Origin")
	if strings.Contains(origin, "http://") || strings.Contains(origin, "https://") {
		w.WriteHeader(http.StatusOK)
		return
	}
	w.WriteHeader(codeFailedPrecondition.httpStatus())
}

// restCall is one call of the API and what its path named.
type restCall struct {
	core   *core
	spec   modelSpec
	method string // classify, regress, predict; "" of a GET
}

func (c *restCall) handle(r *http.Request, path string) (string, *status) {
	content, failure := readAll(r)
	if failure != nil {
		return "", failure
	}
	var parts []string
	switch r.Method {
	case http.MethodPost:
		parts = predictPath.FindStringSubmatch(path)
	case http.MethodGet:
		parts = statusPath.FindStringSubmatch(path)
	}
	if parts == nil {
		return "", invalid("Malformed request: " + r.Method + " " + path)
	}
	if failure := c.readSpec(parts[1], parts[2], parts[3]); failure != nil {
		return "", failure
	}
	if r.Method == http.MethodGet {
		if c.spec.name == "" {
			return "", invalid("Missing model name in request.")
		}
		if parts[4] != "" {
			return c.metadata()
		}
		return c.status()
	}
	c.method = parts[4]
	switch c.method {
	case "predict":
		return c.predict(content)
	case "classify":
		return "", c.examples(content, "classification")
	case "regress":
		return "", c.examples(content, "regression")
	}
	return "", invalid("Malformed request: " + r.Method + " " + path) // the path takes any case, the methods do not
}

// readAll reads a body, unpacked if it came packed.
func readAll(r *http.Request) (string, *status) {
	var body io.Reader = r.Body
	if strings.Contains(r.Header.Get("Content-Encoding"), "gzip") {
		unpacked, err := gzip.NewReader(r.Body)
		if err != nil {
			return "", nil // the real server goes on with an empty body
		}
		body = unpacked
	}
	content, err := io.ReadAll(body)
	if err != nil {
		return "", &status{codeCancelled, "Failed to read the request body: " + err.Error()}
	}
	return string(content), nil
}

func (c *restCall) readSpec(name, version, label string) *status {
	var err error
	if c.spec.name, err = url.PathUnescape(name); err != nil {
		return invalid("Failed to decode model name:" + name)
	}
	if version != "" {
		number, err := strconv.ParseInt(version, 10, 64)
		if err != nil {
			return invalid("Failed to convert version: " + version + " to numeric.")
		}
		c.spec.version = &number
	}
	if c.spec.label, err = url.PathUnescape(label); err != nil {
		return invalid("Failed to decode model version label:" + label)
	}
	return nil
}

// status lists the versions. A label in the path changes nothing: the real server looks at the version alone.
func (c *restCall) status() (string, *status) {
	versions, failure := c.core.manager.states(c.spec.name, c.spec.version)
	if failure != nil {
		return "", failure
	}
	return statusBody(versions), nil
}

func (c *restCall) metadata() (string, *status) {
	_, version, failure := c.core.find(c.spec)
	if failure != nil {
		return "", failure
	}
	return metadataBody(c.spec.name, version), nil
}

func (c *restCall) predict(content string) (string, *status) {
	document, failure := parseBody(content)
	if failure != nil {
		return "", failure
	}
	signature, failure := signatureOf(&document)
	if failure != nil {
		return "", failure
	}
	model, _, failure := c.core.find(c.spec)
	if failure != nil {
		return "", failure
	}
	if signature = orDefault(signature, defaultSignature); signature != defaultSignature {
		return "", invalid(fmt.Sprintf("Serving signature name: \"%s\" not found in signature def", signature))
	}
	inputs, format, failure := readInputs(&document)
	if failure != nil {
		return "", failure
	}
	started := time.Now()
	if failure := model.run(inputs.values, time.Duration(c.core.options.restTimeoutMS)*time.Millisecond); failure != nil {
		return "", failure
	}
	c.core.metrics.recordRun(c.spec.name, time.Since(started))
	return inputs.render(format), nil
}

// examples refuses a classify or regress call: the models' one signature is for predict.
func (c *restCall) examples(content, kind string) *status {
	document, failure := parseBody(content)
	if failure != nil {
		return failure
	}
	signature, failure := signatureOf(&document)
	if failure != nil {
		return failure
	}
	if failure := readExamples(&document); failure != nil {
		return failure
	}
	if _, _, failure := c.core.find(c.spec); failure != nil {
		return failure
	}
	return c.core.refuseExamples(orDefault(signature, defaultSignature), kind)
}

// refuseExamples is why a classify ("classification") or regress ("regression") call cannot be answered.
func (c *core) refuseExamples(signature, kind string) *status {
	if signature != defaultSignature {
		return invalid("No signature was found with the name: " + signature)
	}
	if c.options.methodCheck {
		wanted := map[string]string{"classification": "classify", "regression": "regress"}[kind]
		return invalid("Expected " + kind + " signature method_name to be tensorflow/serving/" + wanted + ". Was: " + predictMethod)
	}
	return invalid("No " + kind + " inputs found in SignatureDef: " + signatureText())
}
