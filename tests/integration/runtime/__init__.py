"""Integration tests of the OCI runtime itself, by its command line; the same tests where they say so under runc and crun."""
