"""A stand-in for Pulumi's GCP plugin, for machines that cannot download the real one, with a made-up Google behind it.

It does what the real plugin is documented to do for the resources that this project's program and tests use: projects,
service accounts and grants, networks, and GKE clusters with their node pools. Property names, types and required
properties are those of the installed pulumi_gcp classes; what a value may be, what excludes what, and what replaces a
resource are those of the Terraform provider that the real plugin wraps (`tables/`).

No request leaves the machine, and no credentials are asked for. What is created is kept in one JSON file, the made-up
cloud, which refuses what Google would: things that exist, things that are missing, APIs that are not enabled. A cluster
there has the address and the certificate authority of the sandbox.

What it does not do: functions (`gcp.container.get_cluster`), other resource types, quotas, prices, the time that Google
takes, and whatever Google checks of a value beyond its form. Rules of `nodePools` inside a cluster are not known; node
pools of their own are.
"""
