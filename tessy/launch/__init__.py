"""Runs a recipe on a cluster: what is submitted is rendered from templates (pure), then handed to the
cluster's own tool and followed.

The job that runs the recipe is called the head job: it is `tessy run` on one machine of the cluster, and
starts workers as `execution.cluster` says.

Not covered: workers (`tessy.cluster`), training over nodes (`train`), building images (`containers/`),
creating volumes and clusters.
"""
