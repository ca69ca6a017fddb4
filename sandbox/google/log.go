package main

import (
	"encoding/json"
	"io"
	"net/http"
	"sync"
)

// request is one line of the log.
type request struct {
	Method   string `json:"method"`
	Host     string `json:"host"`
	URI      string `json:"uri"`
	From     string `json:"from"`
	Identity string `json:"identity"`
	Status   int    `json:"status"`
}

// logged serves by a function that tells whose request it was, and writes a line for each.
func logged(out io.Writer, serve func(http.ResponseWriter, *http.Request) (identity string)) http.Handler {
	var mu sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorded := &recorder{w, http.StatusOK}
		identity := serve(recorded, r)
		line, _ := json.Marshal(request{r.Method, r.Host, r.RequestURI, r.RemoteAddr, identity, recorded.status})
		mu.Lock()
		defer mu.Unlock()
		out.Write(append(line, '\n'))
	})
}

type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}
