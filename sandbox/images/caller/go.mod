module tfserving-mesh/sandbox/images/caller

go 1.26.0
