"""A cluster on GKE: its network, control plane, nodes, and the identities of nodes and models. Imports pulumi_gcp."""
