package main

import (
	"os"
	"strings"
)

// fileSystem is what the server needs of the place where models lie.
type fileSystem interface {
	// exists fails with codeNotFound where there is neither a file nor a folder.
	exists(path string) *status
	// children lists what lies in a folder; a name may end in "/".
	children(folder string) ([]string, *status)
	read(file string) ([]byte, *status)
}

// buckets serves every gs:// path. Like TensorFlow's, it is one for the process, and so is the token that it keeps.
var buckets fileSystem = newGCS(os.Getenv)

// fileSystemOf chooses by the path's scheme. Since TensorFlow 2.7 there is none but the two of this list.
func fileSystemOf(path string) fileSystem {
	scheme, _, found := strings.Cut(path, "://")
	switch {
	case !found || scheme == "file":
		return localFiles{}
	case scheme == "gs":
		return buckets
	default:
		return noFiles{scheme}
	}
}

// joinPath keeps the "//" of a URI, which path.Join would clean away.
func joinPath(folder, name string) string { return strings.TrimSuffix(folder, "/") + "/" + name }

type localFiles struct{}

func (localFiles) path(uri string) string { return strings.TrimPrefix(uri, "file://") }

func (l localFiles) exists(path string) *status {
	if _, err := os.Stat(l.path(path)); err != nil {
		return fileStatus(path, err)
	}
	return nil
}

func (l localFiles) children(folder string) ([]string, *status) {
	entries, err := os.ReadDir(l.path(folder))
	if err != nil {
		return nil, fileStatus(folder, err)
	}
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name()
	}
	return names, nil
}

func (l localFiles) read(file string) ([]byte, *status) {
	content, err := os.ReadFile(l.path(file))
	if err != nil {
		return nil, fileStatus(file, err)
	}
	return content, nil
}

// noFiles answers for a scheme that the server was not built with.
type noFiles struct{ scheme string }

func (n noFiles) failure(path string) *status {
	return &status{codeUnimplemented, "File system scheme '" + n.scheme + "' not implemented (file: '" + path + "')"}
}

func (n noFiles) exists(path string) *status                 { return n.failure(path) }
func (n noFiles) children(folder string) ([]string, *status) { return nil, n.failure(folder) }
func (n noFiles) read(file string) ([]byte, *status)         { return nil, n.failure(file) }
