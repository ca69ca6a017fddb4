package await

import (
	"context"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"tfserving-mesh/sandbox/plugins/kubernetes/internal/engine"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/object"
)

// shortly bounds a look-up made while waiting.
func shortly() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 5*time.Second)
}

// gone waits until an object is no more, or another one has its name.
type gone struct {
	alone
	uid     types.UID
	deleted bool
}

func (g *gone) observe(happened event) {
	switch {
	case happened.reset:
		g.look()
	case happened.gone, happened.object.GetUID() != g.uid:
		g.deleted = true
	default:
		g.live = happened.object
	}
}

func (g *gone) look() {
	ctx, cancel := shortly()
	defer cancel()
	live, err := g.Client.Get(ctx, g.Written.GetName(), metav1.GetOptions{})
	g.deleted = apierrors.IsNotFound(err) || err == nil && live.GetUID() != g.uid
}

func (g *gone) met() bool {
	if !g.deleted && g.live.GetDeletionTimestamp() != nil {
		g.Report.Status(engine.Info, "Resource scheduled for deletion")
	}
	return g.deleted
}

func (g *gone) metLate() bool {
	if g.look(); g.deleted {
		return true
	}
	g.Report.Log(engine.Warning,
		fmt.Sprintf("finalizers might be preventing deletion (%s)", strings.Join(g.live.GetFinalizers(), ", ")))
	return false
}

func (g *gone) reasons() []string { return nil }

// The kinds whose deletion the real plugin does not wait for when told to skip awaiting.
var skippable = map[string]bool{
	"Namespace": true, "Pod": true, "ReplicationController": true, "DaemonSet": true, "Deployment": true,
	"StatefulSet": true, "Job": true,
}

// Gone waits until the object, whose deletion was asked for, is no more. live is what it was before.
func Gone(ctx context.Context, s Subject, live *unstructured.Unstructured) error {
	if object.AnnotatedTrue(s.Inputs, object.SkipAwait) && skippable[live.GetKind()] {
		s.Report.Status(engine.Info, "Skipping await logic")
		return nil
	}
	wanted := &gone{alone: newAlone(s), uid: live.GetUID()}
	if wanted.look(); wanted.deleted {
		return nil
	}
	_, err := run(ctx, s, wanted, "timed out waiting for the condition")
	return err
}
