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
// A gs:// base path is read as TensorFlow's GCS file system reads one:
//   - https://www.googleapis.com lists and stats, https://storage.googleapis.com gives contents in ranges of 64 MB, a
//     connection per request; the certificates that are trusted lie in /etc/ssl/certs/ca-certificates.crt, or in the file
//     that CURL_CA_BUNDLE names;
//   - the token comes from the metadata server (GCE_METADATA_HOST, NO_GCE_CHECK and GOOGLE_AUTH_TOKEN_FOR_TESTING act) and
//     is replaced a minute before it ends. Where the metadata server fails at the first use, after eleven tries in about
//     ten seconds, or at once where its name is unknown or it refuses, the empty token stays for the life of the process;
//   - 401 and 403 are PERMISSION_DENIED at once, with the answer's first 500 bytes in the log; what may pass (no
//     connection, a certificate that is not trusted, 429, 5xx) is tried eleven times over more than three minutes without
//     a line in the log, as GCS_RETRY_CONFIG_MAX_RETRIES, _INIT_DELAY_TIME_US and _MAX_DELAY_TIME_US say. A deployment that
//     gives a pod less time than that never hears the reason;
//   - a base path that is a bucket needs storage.buckets.get, which a reader of objects does not have;
//   - s3://, hdfs:// and other schemes are UNIMPLEMENTED, as they are since TensorFlow 2.7.
//
// Of that file system it lacks: credentials in files (GOOGLE_APPLICATION_CREDENTIALS is seen and refused in the log), the
// caches of blocks and of stats (5 s), GCS_ALLOWED_BUCKET_LOCATIONS, GCS_RESOLVE_REFRESH_SECS, GCS_ADDITIONAL_REQUEST_HEADER,
// throttling, and libcurl's proxy variables. Words that come from libcurl or its TLS library may differ in detail.
//
// What it does not do: it reads no SavedModel, runs no warmup records, batches nothing (batching flags and files are
// checked and otherwise ignored), and has no profiler, ALTS or TLS. Flags for these are accepted, so that a command line
// written for the real server works.
//
// A version folder BASE/N holds model.json instead of a SavedModel; modelFile says what it may contain.
package main
