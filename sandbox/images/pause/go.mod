module tfserving-mesh/sandbox/images/pause

go 1.26.0
