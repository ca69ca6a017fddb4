package cluster

import (
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
)

// Getter gives Helm its access to the cluster, acting in one namespace by default.
type Getter struct {
	cluster      *Cluster
	clientConfig clientcmd.ClientConfig
	discovery    func() discovery.CachedDiscoveryInterface
}

// Getter returns Helm's access for actions in the given namespace.
func (c *Cluster) Getter(namespace string) (*Getter, error) {
	kubeconfig, err := c.Settings.clientConfig(namespace)
	if err != nil {
		return nil, err
	}
	return &Getter{
		cluster:      c,
		clientConfig: kubeconfig,
		discovery: sync.OnceValue(func() discovery.CachedDiscoveryInterface {
			return memory.NewMemCacheClient(c.discovery)
		}),
	}, nil
}

// ToRESTConfig returns the plugin's own connection settings.
func (g *Getter) ToRESTConfig() (*rest.Config, error) {
	if err := g.cluster.Unreachable(); err != nil {
		return nil, err
	}
	return rest.CopyConfig(g.cluster.config), nil
}

// ToDiscoveryClient returns a discovery client that asks the server once.
func (g *Getter) ToDiscoveryClient() (discovery.CachedDiscoveryInterface, error) {
	if err := g.cluster.Unreachable(); err != nil {
		return nil, err
	}
	return g.discovery(), nil
}

// ToRESTMapper returns a mapper that asks the server once.
func (g *Getter) ToRESTMapper() (meta.RESTMapper, error) {
	client, err := g.ToDiscoveryClient()
	if err != nil {
		return nil, err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(client)
	return restmapper.NewShortcutExpander(mapper, client, nil), nil
}

// ToRawKubeConfigLoader returns the configuration with Helm's namespace in it.
func (g *Getter) ToRawKubeConfigLoader() clientcmd.ClientConfig { return g.clientConfig }
