package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"
)

const (
	annotation = "iam.gke.io/gcp-service-account"
	// A container asks as soon as it runs; the API knows its pod's address a moment later.
	podPatience = 10 * time.Second
	podPause    = 200 * time.Millisecond
)

// cluster asks the Kubernetes API.
type cluster struct {
	server   string
	http     *http.Client
	patience time.Duration
}

type kubeconfig struct {
	Clusters []struct {
		Cluster struct {
			Server    string `json:"server"`
			Authority []byte `json:"certificate-authority-data"`
		} `json:"cluster"`
	} `json:"clusters"`
	Users []struct {
		User struct {
			Certificate []byte `json:"client-certificate-data"`
			Key         []byte `json:"client-key-data"`
		} `json:"user"`
	} `json:"users"`
}

func newCluster(file string) (*cluster, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var given kubeconfig
	if err := json.Unmarshal(text, &given); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(given.Clusters) != 1 || len(given.Users) != 1 {
		return nil, errors.New(file + " has to have one cluster and one user")
	}
	to, user := given.Clusters[0].Cluster, given.Users[0].User
	pair, err := tls.X509KeyPair(user.Certificate, user.Key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(to.Authority)
	transport := &http.Transport{TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots}}
	return &cluster{to.Server, &http.Client{Transport: transport, Timeout: 10 * time.Second}, podPatience}, nil
}

// find waits for the API to know a pod with that address.
func (c *cluster) find(ctx context.Context, address string) (serviceAccount, error) {
	for deadline := time.Now().Add(c.patience); ; time.Sleep(podPause) {
		found, err := c.look(ctx, address)
		if !errors.Is(err, errNoPod) || time.Now().After(deadline) {
			return found, err
		}
	}
}

func (c *cluster) look(ctx context.Context, address string) (serviceAccount, error) {
	var pods struct {
		Items []struct {
			Metadata struct{ Namespace string }
			Spec     struct {
				ServiceAccountName string
				HostNetwork        bool
			}
			Status struct{ Phase string }
		}
	}
	selector := url.Values{"fieldSelector": {"status.podIP=" + address}}
	if err := c.get(ctx, "/api/v1/pods?"+selector.Encode(), &pods); err != nil {
		return serviceAccount{}, err
	}
	for _, pod := range pods.Items {
		// The address of a pod that has ended may be another pod's by now.
		if pod.Spec.HostNetwork || pod.Status.Phase == "Succeeded" || pod.Status.Phase == "Failed" {
			continue
		}
		found := serviceAccount{pod.Metadata.Namespace, pod.Spec.ServiceAccountName, ""}
		var account struct {
			Metadata struct{ Annotations map[string]string }
		}
		path := "/api/v1/namespaces/" + found.namespace + "/serviceaccounts/" + found.name
		if err := c.get(ctx, path, &account); err != nil {
			return serviceAccount{}, err
		}
		found.google = account.Metadata.Annotations[annotation]
		return found, nil
	}
	return serviceAccount{}, errNoPod
}

func (c *cluster) get(ctx context.Context, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.server+path, nil)
	if err != nil {
		return err
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, answer.Status)
	}
	return json.NewDecoder(answer.Body).Decode(into)
}
