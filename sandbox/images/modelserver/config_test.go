package main

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func readConfig(t *testing.T, text string) ([]modelConfig, *status) {
	t.Helper()
	captureLog(t)
	return readModelConfig(writeFile(t, filepath.Join(t.TempDir(), "models.config"), text))
}

func TestModelConfigFilesAreRead(t *testing.T) {
	models, failure := readConfig(t, `
# Comments, both separators and both kinds of brackets are text format.
model_config_list: {
  config < name: 'a', base_path: "/a"; model_platform: "tensorflow"
           model_version_policy { specific { versions: 1 versions: 3 } }
           version_labels { key: "stable" value: 1 } version_labels { key: "canary" value: 3 } >
  config { name: "b" base_path: "gs://bucket/" "b" model_platform: "tensorflow" model_version_policy: { all {} } }
  config { name: "c" base_path: "/c" model_type: TENSORFLOW model_version_policy { latest { num_versions: 2 } } }
  config { name: "d" base_path: "/d" model_platform: "tensorflow" model_version_policy { specific { versions: [4, 5] } }
           logging_config { sampling_config { sampling_rate: 0.1 } } }
}`)
	if failure != nil {
		t.Fatal(failure)
	}
	none := map[string]int64{}
	want := []modelConfig{
		{"a", "/a", "tensorflow", false, versionPolicy{kind: "specific", specific: []int64{1, 3}}, map[string]int64{"stable": 1, "canary": 3}},
		{"b", "gs://bucket/b", "tensorflow", false, versionPolicy{kind: "all"}, none},
		{"c", "/c", "tensorflow", false, versionPolicy{kind: "latest", latest: 2}, none},
		{"d", "/d", "tensorflow", false, versionPolicy{kind: "specific", specific: []int64{4, 5}}, none},
	}
	if !reflect.DeepEqual(models, want) {
		t.Errorf("got %+v\nwant %+v", models, want)
	}
}

func TestBadModelListsAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		`model_config_list { config { name: "a" base_path: "/a" } }`:                                                                   "Illegal setting neither ModelServerConfig::model_type (deprecated) nor ModelServerConfig::model_platform, model name is a",
		`model_config_list { config { name: "a" base_path: "/a" model_platform: "torch" } }`:                                           "Model a requests unsupported platform torch",
		`model_config_list { config { name: "a" base_path: "/a" model_platform: "tensorflow" model_type: TENSORFLOW } }`:               "Illegal setting both",
		`model_config_list { config { name: "a" base_path: "/a" model_type: OTHER } }`:                                                 "ModelServerConfig::model_type choice 2 not supported.",
		`model_config_list { config { name: "a" base_path: "a" model_platform: "tensorflow" } }`:                                       "Expected model a to have an absolute path or URI; got base_path()=a",
		`model_config_list { config { name: "a" base_path: "/a" } config { name: "a" base_path: "/b" } }`:                              "Illegal to list model a multiple times in config list",
		`model_config_list { config { name: "a" base_path: "/a" model_platform: "tensorflow" version_labels { key: "l" value: 1 } } }`: "Request to assign label to version 1 of model a, which is not currently available for inference",
		`model_config_list { config { nmae: "a" } }`:                                                                                   "Invalid protobuf file: '",
		`model_config_list { config { name: "a }`:                                                                                      "Invalid protobuf file: '",
	} {
		models, failure := readConfig(t, text)
		if failure == nil {
			failure = newCore(defaults()).reload(models)
		}
		if failure == nil || !strings.HasPrefix(failure.message, want) {
			t.Errorf("%s\n got %v\nwant %s", text, failure, want)
		}
	}
}

func TestAnEmptyConfigServesNoModel(t *testing.T) {
	models, failure := readConfig(t, "")
	if failure != nil || models != nil {
		t.Fatalf("got %v %v", models, failure)
	}
	_, api := serve(t, defaults(), models...)
	expect(t, api, "GET", "/v1/models/m", "", 404, failed("Could not find any versions of model m"))
}

func TestMonitoringFilesAreRead(t *testing.T) {
	for text, want := range map[string]string{
		"prometheus_config: {\n  enable: true,\n  path: \"/monitoring/prometheus/metrics\"\n}": defaultMetricsPath,
		"prometheus_config { enable: true }":                                                   defaultMetricsPath,
		`prometheus_config { enable: true path: "/metrics" }`:                                  "/metrics",
		`prometheus_config { path: "/metrics" }`:                                               "",
		"":                                                                                     "",
	} {
		path, failure := readMetricsPath(writeFile(t, filepath.Join(t.TempDir(), "m"), text))
		if failure != nil || path != want {
			t.Errorf("%s: got %q %v, want %q", text, path, failure, want)
		}
	}
	captureLog(t)
	if _, failure := readMetricsPath(writeFile(t, filepath.Join(t.TempDir(), "m"), "prometheus { }")); failure == nil {
		t.Error("an unknown field is taken")
	}
}

func TestBatchingFilesAreChecked(t *testing.T) {
	captureLog(t)
	for text, want := range map[string]string{
		"max_batch_size { value: 128 }\nbatch_timeout_micros { value: 0 }\nmax_enqueued_batches { value: 1000000 }\nnum_batch_threads { value: 8 }": "",
		"": "",
		"max_batch_size { value: 32 } allowed_batch_sizes: 8 allowed_batch_sizes: 32": "",
		"max_batch_size { value: 0 }":                               "max_batch_size must be positive; was 0",
		"batch_timeout_micros { value: -1 }":                        "batch_timeout_micros must be non-negative; was -1",
		"max_enqueued_batches { value: -5 }":                        "max_enqueued_batches must be non-negative; was -5",
		"num_batch_threads { value: 0 }":                            "num_batch_threads must be positive; was 0",
		"max_batch_size { value: 32 } allowed_batch_sizes: [8, 16]": "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 16; expected 32",
		"allowed_batch_sizes: [16, 8]":                              "allowed_batch_sizes entries must be monotonically increasing",
		"max_batch_size: 128":                                       "Invalid protobuf file: '",
	} {
		failure := checkBatching(writeFile(t, filepath.Join(t.TempDir(), "b"), text))
		if (failure == nil) != (want == "") || failure != nil && !strings.HasPrefix(failure.message, want) {
			t.Errorf("%s: got %v, want %q", text, failure, want)
		}
	}
}
