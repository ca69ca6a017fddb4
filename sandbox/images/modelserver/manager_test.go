package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// start begins to serve without waiting for the first load.
func startCore(t *testing.T, o options, models ...modelConfig) (*core, *logBuffer, chan *status) {
	t.Helper()
	captured := captureLog(t)
	core := newCore(o)
	done := make(chan *status, 1)
	go func() { done <- core.reload(models) }()
	return core, captured, done
}

func oneModel(basePath string, policy versionPolicy) modelConfig {
	return modelConfig{name: "m", basePath: basePath, platform: tensorflowPlatform, policy: policy}
}

func stillWaiting(t *testing.T, done chan *status) {
	t.Helper()
	select {
	case failure := <-done:
		t.Fatalf("the server does not wait for its models: %v", failure)
	case <-time.After(50 * time.Millisecond):
	}
}

func TestAMissingBasePathNeverBecomesAvailable(t *testing.T) {
	basePath := filepath.Join(t.TempDir(), "m")
	core, logged, done := startCore(t, defaults(), oneModel(basePath, versionPolicy{}))
	line := "FileSystemStoragePathSource encountered a filesystem access error: Could not find base path " + basePath +
		" for servable m with error NOT_FOUND: " + basePath + "; No such file or directory\n"
	eventually(t, "the line at the next poll too", func() bool { return strings.Count(logged.String(), line) >= 2 })
	stillWaiting(t, done)
	if got := statesOf(core, "m"); got != "Could not find any versions of model m" {
		t.Errorf("got %s", got)
	}
	writeVersion(t, basePath, "1", halfPlusTwo)
	if failure := <-done; failure != nil {
		t.Errorf("a base path that comes later is not found: %s", failure)
	}
}

func TestABasePathWithoutTheVersionIsWaitedFor(t *testing.T) {
	basePath := filepath.Join(t.TempDir(), "m")
	writeVersion(t, basePath, "latest", halfPlusTwo)
	_, logged, done := startCore(t, defaults(), oneModel(basePath, versionPolicy{kind: "specific", specific: []int64{4}}))
	for _, line := range []string{
		"Version 4 of servable m, which was requested to be served as a 'specific' version in the servable's version policy, was not found in the file system\n",
		"No versions of servable m found under base path " + basePath + ". Did you forget to name your leaf directory as a number (eg. '/1/')?\n",
	} {
		eventually(t, line, func() bool { return strings.Contains(logged.String(), line) })
	}
	stillWaiting(t, done)
}

func TestOneMissingBasePathHoldsUpEveryModel(t *testing.T) {
	root := t.TempDir()
	writeVersion(t, filepath.Join(root, "m"), "1", halfPlusTwo)
	other := modelConfig{name: "other", basePath: filepath.Join(root, "other"), platform: tensorflowPlatform}
	core, _, done := startCore(t, defaults(), oneModel(filepath.Join(root, "m"), versionPolicy{}), other)
	stillWaiting(t, done)
	if got := statesOf(core, "m"); got != "Could not find any versions of model m" {
		t.Errorf("got %s", got)
	}
}

func TestASlowLoadIsSeenAsLoading(t *testing.T) {
	basePath := filepath.Join(t.TempDir(), "m")
	writeVersion(t, basePath, "1", `{"load_seconds": 0.3}`)
	core, _, done := startCore(t, defaults(), oneModel(basePath, versionPolicy{}))
	eventually(t, "LOADING", func() bool { return statesOf(core, "m") == "1 LOADING" })
	stillWaiting(t, done)
	if failure := <-done; failure != nil || statesOf(core, "m") != "1 AVAILABLE" {
		t.Errorf("got %v, %s", failure, statesOf(core, "m"))
	}
}

func TestAFailingLoadIsTriedAgainAndThenReported(t *testing.T) {
	basePath := filepath.Join(t.TempDir(), "m")
	writeVersion(t, basePath, "1", `{"load_error": "checksum mismatch", "load_error_code": "DATA_LOSS"}`)
	o := defaults()
	o.maxLoadRetries = 2
	core, logged, done := startCore(t, o, oneModel(basePath, versionPolicy{}))
	want := "UNKNOWN: 1 servable(s) did not become available: {{{name: m version: 1} due to error: DATA_LOSS: checksum mismatch}, }"
	if failure := <-done; failure.String() != want {
		t.Errorf("got %s, want %s", failure, want)
	}
	text := logged.String()
	for line, count := range map[string]int{
		"Loading servable: {name: m version: 1} failed: DATA_LOSS: checksum mismatch\n":                  3,
		"Retrying of Loading servable: {name: m version: 1} retry: 2\n":                                  1,
		"Retrying of Loading servable: {name: m version: 1} exhausted max_num_load_retries: 2\n":         1,
		"Encountered an error for servable version {name: m version: 1}: DATA_LOSS: checksum mismatch\n": 1,
	} {
		if strings.Count(text, line) != count {
			t.Errorf("%q is not %d times in\n%s", line, count, text)
		}
	}
	want = "{\n \"model_version_status\": [\n  {\n   \"version\": \"1\",\n   \"state\": \"END\",\n   \"status\": {\n" +
		"    \"error_code\": \"DATA_LOSS\",\n    \"error_message\": \"checksum mismatch\"\n   }\n  }\n ]\n}\n"
	expect(t, newRestAPI(core, ""), "GET", "/v1/models/m", "", 200, want)
}

func TestABrokenVersionFolderSaysWhatIsWrong(t *testing.T) {
	for content, want := range map[string]string{
		`{"load_error": "x", "load_error_code": "NONE"}`: "INVALID_ARGUMENT: load_error_code NONE is no error code",
		`{"error_code": "OK"}`:                           "INVALID_ARGUMENT: error_code OK is no error code",
		`{"error_ratio": 5}`:                             "INVALID_ARGUMENT: error_ratio is 5; a ratio is 0-1",
		`{"latency_ms": -1}`:                             "INVALID_ARGUMENT: latency_ms is -1; a time is not negative and under a day",
		`{"scale": "half"}`:                              "DATA_LOSS: Can't parse ",
		`{"sclae": 1}`:                                   "DATA_LOSS: Can't parse ",
		``:                                               "DATA_LOSS: Can't parse ",
	} {
		captureLog(t)
		basePath := t.TempDir()
		writeVersion(t, basePath, "1", content)
		if _, failure := loadModel(filepath.Join(basePath, "1")); failure == nil || !strings.HasPrefix(failure.String(), want) {
			t.Errorf("%s: got %v, want %s", content, failure, want)
		}
	}
	if _, failure := loadModel(t.TempDir()); failure == nil || !strings.HasPrefix(failure.String(),
		"NOT_FOUND: Could not find SavedModel .pb or .pbtxt at supplied export directory path: ") {
		t.Errorf("an empty folder: got %v", failure)
	}
}

func TestTheNewestVersionTakesOverOnceItIsLoaded(t *testing.T) {
	basePath := filepath.Join(t.TempDir(), "m")
	writeVersion(t, basePath, "00001", halfPlusTwo)
	core, api := serve(t, defaults(), oneModel(basePath, versionPolicy{kind: "latest"}))
	writeVersion(t, basePath, "2", `{"load_seconds": 0.3, "scale": 0.5, "offset": 3}`)
	eventually(t, "the old one beside the new", func() bool { return statesOf(core, "m") == "2 LOADING, 1 AVAILABLE" })
	expect(t, api, "POST", "/v1/models/m:predict", `{"inputs": 0}`, 200, "{\n    \"outputs\": 2.0\n}")
	expect(t, api, "GET", "/v1/models/m/versions/2/metadata", "", 404, failed("Servable not found for request: Specific(m, 2)"))
	eventually(t, "the new one alone", func() bool { return statesOf(core, "m") == "2 AVAILABLE, 1 END" })
	expect(t, api, "POST", "/v1/models/m:predict", `{"inputs": 0}`, 200, "{\n    \"outputs\": 3.0\n}")
}

func TestANewVersionThatFailsLeavesTheOldOneAlone(t *testing.T) {
	basePath := filepath.Join(t.TempDir(), "m")
	writeVersion(t, basePath, "1", halfPlusTwo)
	core, api := serve(t, defaults(), oneModel(basePath, versionPolicy{kind: "latest"}))
	writeVersion(t, basePath, "2", `{"load_error": "broken"}`)
	eventually(t, "the failure", func() bool { return statesOf(core, "m") == "2 END, 1 AVAILABLE" })
	expect(t, api, "POST", "/v1/models/m:predict", `{"inputs": 0}`, 200, "{\n    \"outputs\": 2.0\n}")
}

func TestVersionPoliciesChooseVersions(t *testing.T) {
	present := map[int64]string{1: "1", 2: "2", 10: "10"}
	captureLog(t)
	for _, c := range []struct {
		policy versionPolicy
		want   []int64
	}{
		{versionPolicy{kind: "latest"}, []int64{10}},
		{versionPolicy{kind: "latest", latest: 2}, []int64{2, 10}},
		{versionPolicy{kind: "latest", latest: 9}, []int64{1, 2, 10}},
		{versionPolicy{kind: "all"}, []int64{1, 2, 10}},
		{versionPolicy{kind: "specific", specific: []int64{2, 3}}, []int64{2}},
	} {
		chosen := choose(oneModel("/m", c.policy), present)
		missing := false
		for _, version := range c.want {
			missing = missing || chosen[version] == ""
		}
		if missing || len(chosen) != len(c.want) {
			t.Errorf("%+v chooses %v, want %v", c.policy, chosen, c.want)
		}
	}
}

func TestAConfigFileThatChangesIsPutInForce(t *testing.T) {
	root := t.TempDir()
	writeVersion(t, filepath.Join(root, "a"), "1", halfPlusTwo)
	writeVersion(t, filepath.Join(root, "b"), "1", halfPlusThree)
	config := func(names ...string) string {
		text := "model_config_list {\n"
		for _, name := range names {
			text += `config { name: "` + name + `" base_path: "` + filepath.Join(root, name) + `" model_platform: "tensorflow" }` + "\n"
		}
		return text + "}"
	}
	o := defaults()
	o.modelConfigFile = writeFile(t, filepath.Join(root, "models.config"), config("a"))
	captured := captureLog(t)
	core := newCore(o)
	models, _ := readModelConfig(o.modelConfigFile)
	if failure := core.reload(models); failure != nil {
		t.Fatal(failure)
	}
	go core.watchConfig(20 * time.Millisecond)
	writeFile(t, o.modelConfigFile, config("a", "b"))
	eventually(t, "the added model", func() bool { return statesOf(core, "b") == "1 AVAILABLE" })
	writeFile(t, o.modelConfigFile, "no config")
	eventually(t, "the complaint", func() bool {
		return strings.Contains(captured.String(), "Failed to read ModelServerConfig file: Invalid protobuf file: '")
	})
	writeFile(t, o.modelConfigFile, config("b"))
	eventually(t, "the removed model's end", func() bool { return statesOf(core, "a") == "1 END" })
	if got := statesOf(core, "b"); got != "1 AVAILABLE" {
		t.Errorf("the model that stayed is %s", got)
	}
}

func TestAModelCrashesOnlyOnItsInput(t *testing.T) {
	input := float32(13)
	var exits []int
	m := &model{modelFile: modelFile{CrashOnInput: &input}, exit: func(code int) { exits = append(exits, code) }}
	captured := captureLog(t)
	m.run([]float32{1, 12, 14}, 0)
	if len(exits) != 0 {
		t.Fatal("the model crashes on another input")
	}
	m.run([]float32{1, 13}, 0)
	if len(exits) != 1 || exits[0] != crashExitCode || !strings.Contains(captured.String(), ": F tensorflow/core") {
		t.Errorf("exits %v, log %s", exits, captured)
	}
	m = &model{modelFile: modelFile{CrashRatio: 0.25}, exit: func(code int) { exits = append(exits, code) }}
	exits = nil
	for range 8 {
		m.run([]float32{1}, 0)
	}
	if len(exits) != 2 {
		t.Errorf("a quarter of 8 requests is %d crashes", len(exits))
	}
}
