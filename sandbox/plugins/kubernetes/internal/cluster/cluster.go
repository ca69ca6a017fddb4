package cluster

import (
	"context"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"tfserving-mesh/sandbox/plugins/kubernetes/internal/object"
)

const userAgent = "pulumi-kubernetes-stand-in"

// A cluster that does not answer within this time is taken for unreachable.
const reachTimeout = 30 * time.Second

// Cluster is a connection to a cluster, or the knowledge why there is none.
type Cluster struct {
	Settings  Settings
	Namespace string // for objects that name none
	Dynamic   dynamic.Interface

	config      *rest.Config
	discovery   *discovery.DiscoveryClient
	unreachable chan struct{} // closed once reason is known
	reason      error

	mu     sync.Mutex
	served map[schema.GroupVersion][]metav1.APIResource
}

// Connect resolves the settings. It never errs for a cluster that cannot be had: previews work without one, and what
// needs it asks Unreachable. The first request is under way when Connect returns.
func Connect(ctx context.Context, settings Settings) (*Cluster, error) {
	c := &Cluster{
		Settings:    settings,
		Namespace:   settings.Namespace,
		unreachable: make(chan struct{}),
		served:      map[schema.GroupVersion][]metav1.APIResource{},
	}
	kubeconfig, err := settings.clientConfig(settings.Namespace)
	if err != nil {
		c.reason = err
		close(c.unreachable)
		return c, nil
	}
	if namespace, _, err := kubeconfig.Namespace(); err == nil {
		c.Namespace = namespace
	}
	config, err := kubeconfig.ClientConfig()
	if err != nil {
		c.reason = fmt.Errorf("unable to load Kubernetes client configuration from kubeconfig file. Make sure you have: \n\n"+
			" \t • set up the provider as per "+
			"https://www.pulumi.com/registry/packages/kubernetes/installation-configuration/ \n\n %w", err)
		close(c.unreachable)
		return c, nil
	}
	config.QPS, config.Burst = float32(settings.QPS), settings.Burst
	config.Timeout = time.Duration(settings.Timeout) * time.Second
	config.UserAgent = userAgent
	config.WarningHandler = rest.NoWarnings{}
	if err := c.open(config); err != nil {
		return nil, err
	}
	go c.reach(ctx)
	return c, nil
}

func (c *Cluster) open(config *rest.Config) error {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return fmt.Errorf("failed to initialize the Kubernetes client: %w", err)
	}
	if c.Dynamic, err = dynamic.NewForConfigAndClient(config, client); err != nil {
		return fmt.Errorf("failed to initialize dynamic client: %w", err)
	}
	if c.discovery, err = discovery.NewDiscoveryClientForConfigAndClient(config, client); err != nil {
		return fmt.Errorf("failed to initialize discovery client: %w", err)
	}
	c.config = config
	return nil
}

// reach asks for the smallest document that the server gives only to those it knows.
func (c *Cluster) reach(ctx context.Context) {
	defer close(c.unreachable)
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	if err := c.discovery.RESTClient().Get().AbsPath("/api").Do(ctx).Error(); err != nil {
		c.reason = fmt.Errorf("unable to load schema information from the API server: %w", err)
	}
}

// Unreachable returns why the cluster cannot be had, nil when it can.
func (c *Cluster) Unreachable() error {
	<-c.unreachable
	return c.reason
}

// Served looks a kind up in what the API serves. A kind that it does not serve is a meta.NoKindMatchError.
func (c *Cluster) Served(kind schema.GroupVersionKind) (resource schema.GroupVersionResource, namespaced bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	gv := kind.GroupVersion()
	found := findKind(c.served[gv], kind.Kind)
	if found == nil {
		// Only what is served is remembered: a definition may be created at any time.
		list, err := c.discovery.ServerResourcesForGroupVersion(gv.String())
		if err != nil && !apierrors.IsNotFound(err) {
			return schema.GroupVersionResource{}, false, err
		}
		if err == nil {
			c.served[gv] = list.APIResources
			found = findKind(list.APIResources, kind.Kind)
		}
	}
	if found == nil {
		return schema.GroupVersionResource{}, false, &meta.NoKindMatchError{
			GroupKind:        kind.GroupKind(),
			SearchedVersions: []string{kind.Version},
		}
	}
	return gv.WithResource(found.Name), found.Namespaced, nil
}

func findKind(resources []metav1.APIResource, kind string) *metav1.APIResource {
	for i := range resources {
		// Subresources such as deployments/scale have kinds too.
		if resources[i].Kind == kind && !isSubresource(resources[i].Name) {
			return &resources[i]
		}
	}
	return nil
}

func isSubresource(name string) bool {
	for i := range len(name) {
		if name[i] == '/' {
			return true
		}
	}
	return false
}

// Forget makes the next look-ups ask the server again.
func (c *Cluster) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.served)
}

// Serves tells whether the cluster can be had and serves the object's kind.
func (c *Cluster) Serves(obj map[string]any) bool {
	if c.Unreachable() != nil {
		return false
	}
	_, _, err := c.Served(object.KindOfObject(obj))
	return err == nil
}

// Namespaced tells whether objects of the kind live in a namespace. Of a kind that nobody knows yet, because its
// definition is still to be created, this is assumed: creation corrects it.
func (c *Cluster) Namespaced(kind schema.GroupVersionKind) bool {
	if namespaced, known := object.Namespaced(kind); known {
		return namespaced
	}
	if c.Unreachable() != nil {
		return true
	}
	_, namespaced, err := c.Served(kind)
	return err != nil || namespaced
}

// Client returns the client for the object's kind, in its namespace if it has one.
func (c *Cluster) Client(obj *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	resource, namespaced, err := c.Served(object.KindOfObject(obj.Object))
	if err != nil {
		return nil, err
	}
	if !namespaced {
		return c.Dynamic.Resource(resource), nil
	}
	namespace := obj.GetNamespace()
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	return c.Dynamic.Resource(resource).Namespace(namespace), nil
}
