package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Where TensorFlow's GCS file system looks: the first lists and stats, the second gives contents.
const (
	gcsAPI     = "https://www.googleapis.com/storage/v1/"
	gcsObjects = "https://storage.googleapis.com/"
)

const (
	gcsBlock    = 64 << 20 // bytes asked for at a time
	gcsPageSize = 1000
)

// gcsFiles reads Google Cloud Storage as TensorFlow does: the same requests, retries, caches of tokens and errors.
type gcsFiles struct {
	http        *curl
	tokens      *tokens
	retry       retryPolicy
	metadataMax time.Duration // for a whole request that lists or stats
	readMax     time.Duration // for one that reads
}

// newGCS takes its settings from the variables that TensorFlow reads.
func newGCS(env func(string) string) *gcsFiles {
	client := newCurl(env)
	return &gcsFiles{
		http:        client,
		tokens:      newTokens(env, client),
		retry:       gcsRetryPolicy(env),
		metadataMax: seconds(env, "GCS_METADATA_REQUEST_TIMEOUT_SECS", time.Hour),
		readMax:     seconds(env, "GCS_READ_REQUEST_TIMEOUT_SECS", time.Hour),
	}
}

func (g *gcsFiles) exists(path string) *status {
	return g.retry.call(func() *status { return g.existsOnce(path) })
}

func (g *gcsFiles) children(folder string) (names []string, failure *status) {
	failure = g.retry.call(func() (failure *status) {
		names, failure = g.list(folder, listing{})
		return failure
	})
	return names, failure
}

func (g *gcsFiles) read(file string) ([]byte, *status) {
	bucket, object, failure := splitGCS(file)
	if failure == nil && object == "" {
		failure = invalid("GCS path doesn't contain an object name: " + file)
	}
	var content []byte
	for failure == nil {
		var block []byte
		failure = g.retry.call(func() (failure *status) {
			block, failure = g.readBlock(bucket, object, len(content))
			return failure
		})
		content = append(content, block...)
		if len(block) < gcsBlock {
			break
		}
	}
	return content, failure
}

// splitGCS takes gs://BUCKET/OBJECT apart; the object may be empty.
func splitGCS(path string) (bucket, object string, failure *status) {
	bucket, object, _ = strings.Cut(strings.TrimPrefix(path, "gs://"), "/")
	if bucket == "" || bucket == "." {
		return "", "", invalid("GCS path doesn't contain a bucket name: " + path)
	}
	return bucket, object, nil
}

// existsOnce asks for an object of that name, then for a folder. A path that is a bucket asks for the bucket itself,
// which takes a permission (storage.buckets.get) that readers of objects do not have.
func (g *gcsFiles) existsOnce(path string) *status {
	bucket, object, failure := splitGCS(path)
	if failure != nil {
		return failure
	}
	if object == "" {
		_, failure := g.get(gcsAPI+"b/"+bucket, "", g.metadataMax)
		if failure != nil && failure.code == codeNotFound {
			return &status{codeNotFound, "The specified bucket " + path + " was not found."}
		}
		return failure
	}
	if failure := g.stat(bucket, object); failure == nil || failure.code != codeNotFound {
		return failure
	}
	found, failure := g.list(path, listing{recursive: true, marker: true, most: 1})
	if failure != nil || len(found) > 0 {
		return failure
	}
	return &status{codeNotFound, "The specified path " + path + " was not found."}
}

func (g *gcsFiles) stat(bucket, object string) *status {
	body, failure := g.get(gcsAPI+"b/"+bucket+"/o/"+escape(object)+"?fields=size%2Cgeneration%2Cupdated", "", g.metadataMax)
	if failure != nil {
		return failure.with(" when reading metadata of gs://" + bucket + "/" + object)
	}
	var found map[string]any
	if json.Unmarshal(body, &found) != nil {
		return &status{codeInternal, "Couldn't parse JSON response from GCS."}
	}
	for _, field := range []string{"size", "generation", "updated"} {
		if found[field] == nil {
			return &status{codeInternal, "The field '" + field + "' was expected in the JSON response."}
		}
	}
	return nil
}

// listing says what to list of a folder.
type listing struct {
	recursive bool // everything below it, not only what lies in it
	marker    bool // also the empty object that stands for the folder itself
	most      int  // names; 0 is all
}

// list gives names relative to the folder; those of folders end in "/".
func (g *gcsFiles) list(folder string, want listing) ([]string, *status) {
	bucket, prefix, failure := splitGCS(joinPath(folder, ""))
	if failure != nil {
		return nil, failure
	}
	uri := gcsAPI + "b/" + bucket + "/o?fields=items%2Fname%2C"
	if want.recursive {
		uri += "nextPageToken"
	} else {
		uri += "prefixes%2CnextPageToken&delimiter=%2F"
	}
	if prefix != "" {
		uri += "&prefix=" + escape(prefix)
	}
	var names []string
	for page := ""; ; {
		body, failure := g.get(uri+page+want.rest(len(names)), "", g.metadataMax)
		if failure != nil {
			return nil, failure.with(" when reading " + folder)
		}
		var found struct {
			Items         []struct{ Name string }
			Prefixes      []string
			NextPageToken string
		}
		if json.Unmarshal(body, &found) != nil {
			return nil, &status{codeInternal, "Couldn't parse JSON response from GCS."}
		}
		for _, item := range found.Items {
			if name := strings.TrimPrefix(item.Name, prefix); name != "" || want.marker {
				names = append(names, name)
			}
		}
		for _, name := range found.Prefixes {
			names = append(names, strings.TrimPrefix(name, prefix))
		}
		if found.NextPageToken == "" || want.most > 0 && len(names) >= want.most {
			return names, nil
		}
		page = "&pageToken=" + escape(found.NextPageToken)
	}
}

// rest limits a page to what is still wanted, where that is less than a page.
func (l listing) rest(have int) string {
	if l.most == 0 || l.most-have >= gcsPageSize {
		return ""
	}
	return fmt.Sprintf("&maxResults=%d", l.most-have)
}

func (g *gcsFiles) readBlock(bucket, object string, offset int) ([]byte, *status) {
	span := fmt.Sprintf("bytes=%d-%d", offset, offset+gcsBlock-1)
	body, failure := g.get(gcsObjects+bucket+"/"+escape(object), span, g.readMax)
	return body, failure.with(" when reading gs://" + bucket + "/" + object)
}

// get makes one request with the process's token, or with none where there is none.
func (g *gcsFiles) get(uri, span string, most time.Duration) ([]byte, *status) {
	header := http.Header{}
	if token := g.tokens.get(); token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	if span != "" {
		header.Set("Range", span)
	}
	return g.http.get(uri, header, most)
}

// escape writes a name as libcurl does: all but letters, digits and -._~ in percent form.
func escape(name string) string { return strings.ReplaceAll(url.QueryEscape(name), "+", "%20") }
