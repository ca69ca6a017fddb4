package await

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
)

// event is an object as it is now. After a gap in what could be seen, reset comes first and all objects follow anew.
type event struct {
	source string
	object *unstructured.Unstructured
	gone   bool
	reset  bool
}

// source is a list of objects to follow.
type source struct {
	name    string
	client  dynamic.ResourceInterface
	options metav1.ListOptions
}

const (
	firstPause = 100 * time.Millisecond
	longPause  = 5 * time.Second
)

// follow lists the objects, then watches them, until ctx ends.
func (s source) follow(ctx context.Context, events chan<- event) {
	send := func(happened event) bool {
		happened.source = s.name
		select {
		case events <- happened:
			return true
		case <-ctx.Done():
			return false
		}
	}
	pause := firstPause
	for ctx.Err() == nil {
		list, err := s.client.List(ctx, s.options)
		if err == nil {
			if !send(event{reset: true}) {
				return
			}
			for i := range list.Items {
				if !send(event{object: &list.Items[i]}) {
					return
				}
			}
			if s.watch(ctx, list.GetResourceVersion(), send) {
				pause = firstPause
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, longPause)
	}
}

// watch sends changes from the given version on. It tells whether there was any before the watch ended.
func (s source) watch(ctx context.Context, version string, send func(event) bool) (seen bool) {
	options := s.options
	options.ResourceVersion = version
	watching, err := s.client.Watch(ctx, options)
	if err != nil {
		return false
	}
	defer watching.Stop()
	for {
		select {
		case <-ctx.Done():
			return seen
		case change, open := <-watching.ResultChan():
			if !open {
				return seen
			}
			object, ok := change.Object.(*unstructured.Unstructured)
			if !ok || change.Type == watch.Error {
				return seen
			}
			if change.Type == watch.Bookmark {
				continue
			}
			seen = true
			if !send(event{object: object, gone: change.Type == watch.Deleted}) {
				return seen
			}
		}
	}
}

// objects keeps the present objects of a source by name.
type objects map[string]*unstructured.Unstructured

func (o objects) observe(happened event) {
	switch {
	case happened.reset:
		clear(o)
	case happened.gone:
		delete(o, happened.object.GetName())
	default:
		o[happened.object.GetName()] = happened.object
	}
}

func ownedBy(owned, owner *unstructured.Unstructured) bool {
	for _, reference := range owned.GetOwnerReferences() {
		if owner != nil && reference.UID == owner.GetUID() {
			return true
		}
	}
	return false
}
