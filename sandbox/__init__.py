"""A real single-node Kubernetes with Istio's images on this machine, for `make up` and the end-to-end tests."""
