package main

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func failed(message string) string { return "{\n    \"error\": \"" + message + "\"\n}" }

// The bodies here are those of TF Serving's documentation (api_rest.md) and of its own tests.
func TestPredictAnswersAsDocumented(t *testing.T) {
	api := serveFile(t, defaults(), halfPlusThree)
	for _, c := range []struct{ name, body, answer string }{
		{"row format", `{"instances": [1.0,2.0,5.0]}`, "{\n    \"predictions\": [3.5, 4.0, 5.5\n    ]\n}"},
		{"rows of lists", `{"instances": [[1.0], [2.0]]}`, "{\n    \"predictions\": [[3.5], [4.0]\n    ]\n}"},
		{"rows of matrices", `{"instances": [[[1, 2]], [[3, 4]]]}`, "{\n    \"predictions\": [[[3.5, 4.0]], [[4.5, 5.0]]\n    ]\n}"},
		{"named rows", `{"instances": [{"x": 1}, {"x": 2}]}`, "{\n    \"predictions\": [3.5, 4.0\n    ]\n}"},
		{"rows of nothing", `{"instances": [[], []]}`, "{\n    \"predictions\": [[], []\n    ]\n}"},
		{"column format", `{"inputs": [1.0, 2.0]}`, "{\n    \"outputs\": [\n        3.5,\n        4.0\n    ]\n}"},
		{"a lone value", `{"inputs": 3}`, "{\n    \"outputs\": 4.5\n}"},
		{"a named column", `{"inputs": {"x": [[1], [2]]}}`,
			"{\n    \"outputs\": [\n        [\n            3.5\n        ],\n        [\n            4.0\n        ]\n    ]\n}"},
		{"the default signature by name", `{"signature_name": "serving_default", "instances": [1]}`,
			"{\n    \"predictions\": [3.5\n    ]\n}"},
		{"an empty signature name", `{"signature_name": "", "instances": [1]}`, "{\n    \"predictions\": [3.5\n    ]\n}"},
		{"text after the document", `{"instances": [1]} and more`, "{\n    \"predictions\": [3.5\n    ]\n}"},
		{"numbers without decimals and exponents", `{"instances": [-6, 1e1, 2E-1]}`, "{\n    \"predictions\": [0.0, 8.0, 3.1\n    ]\n}"},
		{"what is no number and too much", `{"instances": [NaN, Infinity, -Infinity, -Inf]}`,
			"{\n    \"predictions\": [NaN, Infinity, -Infinity, -Infinity\n    ]\n}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			expect(t, api, "POST", "/v1/models/m:predict", c.body, 200, c.answer)
			expect(t, api, "POST", "/v1/models/m/versions/1:predict", c.body, 200, c.answer)
		})
	}
}

func TestPredictRefusesAsDocumented(t *testing.T) {
	api := serveFile(t, defaults(), halfPlusTwo)
	const element = "Failed to process element: "
	for _, c := range []struct{ name, body, message string }{
		{"no body", "", "JSON Parse error: The document is empty"},
		{"white space", "  ", "JSON Parse error: The document is empty. at offset: 2"},
		{"no JSON", "hello", "JSON Parse error: Invalid value. at offset: 0"},
		{"cut off", `{"instances": [1, 2`, "JSON Parse error: Missing a comma or ] after an array element. at offset: 19"},
		{"an unquoted key", `{instances: [1]}`, "JSON Parse error: Missing a name for object member. at offset: 1"},
		{"no object", `[1]`, "JSON Value: [1] Is not object"},
		{"neither key", `{}`, "Missing 'inputs' or 'instances' key"},
		{"both keys", `{"inputs": 1, "instances": [1]}`, `JSON Value: {\n    \"inputs\": 1,\n    \"instances\": [1]\n} ` +
			"Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist "},
		{"no list", `{"instances": 1}`, `JSON Value: {\n    \"instances\": 1\n} Expecting 'instances' to be an list/array`},
		{"an empty list", `{"instances": []}`, `JSON Value: {\n    \"instances\": []\n} No values in 'instances' array`},
		{"a signature that is no string", `{"signature_name": 5, "instances": [1]}`,
			`JSON Value: {\n    \"signature_name\": 5,\n    \"instances\": [1]\n} not formatted correctly. ` +
				"'signature_name' key must be a string value."},
		{"an unknown signature", `{"signature_name": "other", "instances": [1]}`,
			`Serving signature name: \"other\" not found in signature def`},
		{"a string", `{"instances": ["a"]}`, element + "0 of 'instances' list. Error: INVALID_ARGUMENT: " +
			`JSON Value: \"a\" Type: String is not of expected type: float`},
		{"a truth", `{"instances": [1, true]}`, element + "1 of 'instances' list. Error: INVALID_ARGUMENT: " +
			"JSON Value: true Type: True is not of expected type: float"},
		{"null", `{"instances": [null]}`, element + "0 of 'instances' list. Error: INVALID_ARGUMENT: " +
			"JSON Value: null Type: Null is not of expected type: float"},
		{"bytes", `{"instances": [{"b64": "YQ=="}]}`, element + "0 of 'instances' list. Error: INVALID_ARGUMENT: " +
			`JSON Value: {\n    \"b64\": \"YQ==\"\n} Type: Object is not of expected type: float`},
		{"rows of several lengths", `{"instances": [[1], [1, 2]]}`,
			element + "1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting tensor size: 1 but got: 2"},
		{"rows of several shapes", `{"instances": [1, [2]]}`,
			element + "1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting shape [] but got: [1]"},
		{"a ragged row", `{"instances": [[[1], [2, 3]]]}`, element + "0 of 'instances' list. Error: INVALID_ARGUMENT: " +
			"Encountered list at unexpected size: 2 at level: 1 expected size: 1"},
		{"a number beside a list", `{"instances": [[[1], 2]]}`, element + "0 of 'instances' list. Error: INVALID_ARGUMENT: " +
			"JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2"},
		{"a list beside a number", `{"instances": [[1, [2]]]}`, element + "0 of 'instances' list. Error: INVALID_ARGUMENT: " +
			"Encountered list at unexpected level: 1 expected < 1"},
		{"a list among objects", `{"instances": [{"x": 1}, [2]]}`, "Expecting object but got list at item 1 of input list"},
		{"an object among values", `{"instances": [1, {"x": 2}]}`, "Expecting value/list but got object at item 1 of input list"},
		{"an unknown input", `{"instances": [{"z": 1}]}`, element + "0 key: z of 'instances' list. Error: INVALID_ARGUMENT: " +
			"JSON object: does not have named input: z"},
		{"a missing input", `{"instances": [{}]}`, element + "0 of 'instances' list. JSON object: {} keys must be equal to: x"},
		{"a column without the input", `{"inputs": {"z": 1}}`, "Missing named input: x in 'inputs' object."},
		{"a column of text", `{"inputs": ["a"]}`, `JSON Value: \"a\" Type: String is not of expected type: float`},
	} {
		t.Run(c.name, func(t *testing.T) {
			expect(t, api, "POST", "/v1/models/m:predict", c.body, 400, failed(c.message))
		})
	}
}

func TestPathsAreAnsweredAsDocumented(t *testing.T) {
	api := serveFile(t, defaults(), halfPlusTwo)
	const available = `{
 "model_version_status": [
  {
   "version": "1",
   "state": "AVAILABLE",
   "status": {
    "error_code": "OK",
    "error_message": ""
   }
  }
 ]
}
`
	const instances = `{"instances": [1]}`
	for _, c := range []struct {
		method, path, body string
		code               int
		answer             string
	}{
		{"GET", "/v1/models/m", "", 200, available},
		{"GET", "/v1/models/m/versions/1", "", 200, available},
		{"GET", "/v1/models/m/labels/any", "", 200, available},
		{"GET", "/v1/models/m?query=ignored", "", 200, available},
		{"GET", "/V1/Models/m", "", 200, available},
		{"GET", "/v1/models/m/versions/7", "", 404, failed("Could not find version 7 of model m")},
		{"GET", "/v1/models/other", "", 404, failed("Could not find any versions of model other")},
		{"GET", "/v1/models/%6d", "", 200, available},
		{"GET", "/v1/models", "", 400, failed("Missing model name in request.")},
		{"GET", "/v1/models/other/metadata", "", 404, failed("Servable not found for request: Latest(other)")},
		{"GET", "/v1/models/m/versions/7/metadata", "", 404, failed("Servable not found for request: Specific(m, 7)")},
		{"GET", "/v1/models/m/labels/x/metadata", "", 400, failed("Unrecognized servable version label: x")},
		{"GET", "/v1/models/m/other", "", 400, failed("Malformed request: GET /v1/models/m/other")},
		{"GET", "/v1/models/m:predict", "", 400, failed("Malformed request: GET /v1/models/m:predict")},
		{"POST", "/v1/models/m", instances, 400, failed("Malformed request: POST /v1/models/m")},
		{"PUT", "/v1/models/m:predict", instances, 400, failed("Malformed request: PUT /v1/models/m:predict")},
		{"POST", "/v1/models/other:predict", instances, 404, failed("Servable not found for request: Latest(other)")},
		{"POST", "/v1/models/m/versions/7:predict", instances, 404, failed("Servable not found for request: Specific(m, 7)")},
		{"POST", "/v1/models/m/labels/x:predict", instances, 400, failed("Unrecognized servable version label: x")},
		{"POST", "/v1/models/m/versions/99999999999999999999:predict", instances, 400,
			failed("Failed to convert version: 99999999999999999999 to numeric.")},
		{"GET", "/", "", 404, "<HTML><HEAD>\n<TITLE>404 Not Found</TITLE>\n</HEAD><BODY>\n<H1>Not Found</H1>\n</BODY></HTML>\n"},
	} {
		expect(t, api, c.method, c.path, c.body, c.code, c.answer)
	}
}

func TestOnlyPredictIsServed(t *testing.T) {
	checked := defaults()
	checked.methodCheck = true
	for _, c := range []struct {
		options            options
		method, body, want string
	}{
		{defaults(), "classify", `{"examples": [{"x": 1}]}`, `No classification inputs found in SignatureDef: inputs {\n  key: \"x\"\n`},
		{defaults(), "regress", `{"examples": [{"x": [1, 2]}]}`, `No regression inputs found in SignatureDef: inputs {\n`},
		{checked, "regress", `{"examples": [{"x": 1}]}`,
			"Expected regression signature method_name to be tensorflow/serving/regress. Was: tensorflow/serving/predict"},
		{defaults(), "regress", `{"signature_name": "r", "examples": [{"x": 1}]}`, "No signature was found with the name: r"},
		{defaults(), "classify", `{}`, "When method is classify, key 'examples' is expected and was not found"},
		{defaults(), "classify", `{"examples": {}}`, "Expecting 'examples' value to be an list/array"},
		{defaults(), "classify", `{"examples": []}`, "'examples' value is an empty array"},
		{defaults(), "classify", `{"examples": [1]}`, "Example must be JSON object but got JSON Number"},
		{defaults(), "classify", `{"examples": [{"x": null}]}`, "Feature: x has element with unexpected JSON type: Null"},
	} {
		api := serveFile(t, c.options, halfPlusTwo)
		code, answer := call(api, "POST", "/v1/models/m:"+c.method, c.body)
		if code != 400 || !strings.Contains(answer, c.want) {
			t.Errorf("%s %s: got %d %s, want 400 and %s", c.method, c.body, code, answer, c.want)
		}
	}
}

func TestMetadataShowsTheVersionAndTheSignature(t *testing.T) {
	api := serveFile(t, defaults(), halfPlusTwo)
	code, answer := call(api, "GET", "/v1/models/m/metadata", "")
	document, failure := parseJSON(answer)
	if code != 200 || failure != nil {
		t.Fatalf("got %d %s", code, answer)
	}
	spec := document.member("model_spec")
	if spec.member("name").text != "m" || spec.member("version").text != "1" || spec.member("signature_name").text != "" {
		t.Errorf("model_spec is wrong in %s", answer)
	}
	signature := document.member("metadata").member("signature_def").member("signature_def").member("serving_default")
	if signature.member("method_name").text != predictMethod || signature.member("inputs").member("x") == nil ||
		signature.member("outputs").member("y").member("dtype").text != "DT_FLOAT" {
		t.Errorf("the signature is wrong in %s", answer)
	}
}

func TestHeadersOfAnAnswer(t *testing.T) {
	cors := defaults()
	cors.cors = true
	api := serveFile(t, cors, halfPlusTwo)
	recorder := httptest.NewRecorder()
	api.ServeHTTP(recorder, httptest.NewRequest("POST", "/v1/models/m:predict", strings.NewReader(`{"inputs": 0}`)))
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Content-Length": "22", "Access-Control-Allow-Origin": "*",
	} {
		if got := recorder.Header().Get(name); got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
	for origin, code := range map[string]int{"https://a.example": 200, "": 400} {
		request := httptest.NewRequest("OPTIONS", "/v1/models/m:predict", nil)
		request.Header.Set("Origin", origin)
		recorder := httptest.NewRecorder()
		api.ServeHTTP(recorder, request)
		if recorder.Code != code {
			t.Errorf("a preflight from %q gets %d, want %d", origin, recorder.Code, code)
		}
	}
}

func TestAPackedBodyIsUnpacked(t *testing.T) {
	api := serveFile(t, defaults(), halfPlusTwo)
	var packed bytes.Buffer
	packer := gzip.NewWriter(&packed)
	packer.Write([]byte(`{"inputs": 0}`))
	packer.Close()
	request := httptest.NewRequest("POST", "/v1/models/m:predict", &packed)
	request.Header.Set("Content-Encoding", "gzip")
	recorder := httptest.NewRecorder()
	api.ServeHTTP(recorder, request)
	if recorder.Code != 200 || !strings.Contains(recorder.Body.String(), "2.0") {
		t.Errorf("got %d %s", recorder.Code, recorder.Body)
	}
}

func TestAFaultyModelFailsItsShareOfRequests(t *testing.T) {
	for content, want := range map[string]struct {
		code, count int
		message     string
	}{
		`{"error_ratio": 0.05}`: {500, 50, "Blas GEMM launch failed"},
		`{"error_ratio": 0.3, "error_code": "UNAVAILABLE", "error_message": "overloaded"}`: {503, 300, "overloaded"},
		`{"error_ratio": 1, "error_code": "RESOURCE_EXHAUSTED"}`:                           {429, 1000, "Blas"},
		`{"error_ratio": 0}`: {500, 0, ""},
	} {
		api := serveFile(t, defaults(), content)
		failures := 0
		for range 1000 {
			if code, answer := call(api, "POST", "/v1/models/m:predict", `{"inputs": 1}`); code == want.code {
				failures++
				if !strings.Contains(answer, want.message) {
					t.Fatalf("%s: %s", content, answer)
				}
			} else if code != 200 {
				t.Fatalf("%s: %d %s", content, code, answer)
			}
		}
		if failures != want.count {
			t.Errorf("%s fails %d of 1000 requests, want %d", content, failures, want.count)
		}
	}
}

func TestASlowModelAnswersLateOrTimesOut(t *testing.T) {
	impatient := defaults()
	impatient.restTimeoutMS = 30
	for _, c := range []struct {
		options options
		least   time.Duration
		code    int
		answer  string
	}{
		{defaults(), 100 * time.Millisecond, 200, "{\n    \"outputs\": 0.0\n}"},
		{impatient, 30 * time.Millisecond, 504, failed("Timed out waiting for notification")},
	} {
		api := serveFile(t, c.options, `{"latency_ms": 100}`)
		started := time.Now()
		expect(t, api, "POST", "/v1/models/m:predict", `{"inputs": 1}`, c.code, c.answer)
		if took := time.Since(started); took < c.least || took > c.least+2*time.Second {
			t.Errorf("the answer took %s, want %s", took, c.least)
		}
	}
}

func TestMetricsCountRequestsByModelAndStatus(t *testing.T) {
	api := serveFile(t, defaults(), halfPlusTwo)
	call(api, "POST", "/v1/models/m:predict", `{"inputs": 1}`)
	call(api, "POST", "/v1/models/m:predict", `{"inputs": 1}`)
	call(api, "POST", "/v1/models/m:predict", `{}`)
	call(api, "POST", "/v1/models/o\"\\:predict", `{"inputs": 1}`)
	call(api, "GET", "/v1/models/m", "")
	code, page := call(api, "GET", "/monitoring/prometheus/metrics", "")
	if code != 200 || !strings.HasSuffix(page, "\n") {
		t.Fatalf("got %d %s", code, page)
	}
	for _, line := range []string{
		"# TYPE :tensorflow:serving:request_count counter",
		`:tensorflow:serving:request_count{model_name="m",status="OK"} 3`,
		`:tensorflow:serving:request_count{model_name="m",status="INVALID_ARGUMENT"} 1`,
		`:tensorflow:serving:request_count{model_name="o\"\\",status="NOT_FOUND"} 1`,
		"# TYPE :tensorflow:serving:request_latency histogram",
		`:tensorflow:serving:request_latency_count{model_name="m",API="predict",entrypoint="REST"} 2`,
		`:tensorflow:serving:request_latency_count{model_name="m",API="",entrypoint="REST"} 1`,
		`:tensorflow:serving:request_latency_bucket{model_name="m",API="predict",entrypoint="REST",le="+Inf"} 2`,
		`:tensorflow:serving:runtime_latency_count{model_name="m",API="Predict",runtime="TF1"} 2`,
		`:tensorflow:serving:runtime_latency_bucket{model_name="m",API="Predict",runtime="TF1",le="+Inf"} 2`,
	} {
		if !strings.Contains(page, line+"\n") {
			t.Errorf("no line %s in\n%s", line, page)
		}
	}
}

func TestNoMetricsWithoutTheMonitoringFile(t *testing.T) {
	core, _ := serve(t, defaults(), []modelConfig{}...)
	code, _ := call(newRestAPI(core, ""), "GET", "/monitoring/prometheus/metrics", "")
	if code != http.StatusNotFound {
		t.Errorf("got %d", code)
	}
}

func TestOneModelsLabelsLeadToTheirVersions(t *testing.T) {
	basePath := filepath.Join(t.TempDir(), "m")
	writeVersion(t, basePath, "1", halfPlusTwo)
	writeVersion(t, basePath, "2", halfPlusThree)
	model := modelConfig{name: "m", basePath: basePath, platform: tensorflowPlatform, policy: versionPolicy{kind: "all"}}
	core, api := serve(t, defaults(), model)
	eventually(t, "both versions", func() bool { return statesOf(core, "m") == "2 AVAILABLE, 1 AVAILABLE" })
	model.labels = map[string]int64{"stable": 1, "canary": 2}
	if failure := core.reload([]modelConfig{model}); failure != nil {
		t.Fatal(failure)
	}
	for path, answer := range map[string]string{
		"/labels/stable": "2.0", "/labels/canary": "3.0", "/versions/1": "2.0", "": "3.0",
	} {
		expect(t, api, "POST", "/v1/models/m"+path+":predict", `{"inputs": 0}`, 200, "{\n    \"outputs\": "+answer+"\n}")
	}
}
