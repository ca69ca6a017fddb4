// Command modelserver stands in for TensorFlow Serving's tensorflow_model_server.
//
// No package registry carries the real binary, so the image named tensorflow/serving in the sandbox holds this one. It
// takes the real server's flags, reads its config files, and answers its REST API with the same bodies, status codes,
// metrics and log lines, for models that are one line of arithmetic: y = scale * x + offset in float32. TF Serving's own
// test models half_plus_two and half_plus_three are two of them.
//
// What it shares with the real server on purpose, since deployments depend on it:
//   - no port is open before the first load of every model has ended. While a model loads, or while its base path is
//     missing, connections are refused; LOADING and END are seen over REST only for models and versions that come later;
//   - a first load that fails is tried again (--max_num_load_retries, 5, every --load_retry_interval_micros, one minute),
//     then the process says why on stdout and exits with code 255;
//   - a base path that is missing, or holds no version, is waited for without end, with one log line per poll;
//   - GET /v1/models/NAME answers 200 whatever the state is;
//   - SIGTERM is ignored, so that a pod ends by its grace period or by a preStop hook;
//   - the gRPC health service says SERVING from the moment the port opens, for "", "ModelService" and "PredictionService".
//
// The gRPC port serves PredictionService (Predict, GetModelMetadata, and Classify and Regress as errors) and
// ModelService.GetModelStatus; MultiInference and HandleReloadConfigRequest are unimplemented.
//
// What it does not do: it reads no SavedModel and no gs:// path (that is a base path that cannot be found), runs no
// warmup records, batches nothing (batching flags and files are checked and otherwise ignored), and has no profiler, ALTS
// or TLS. Flags for these are accepted, so that a command line written for the real server works.
//
// A version folder BASE/N holds model.json instead of a SavedModel; modelFile says what it may contain.
package main
