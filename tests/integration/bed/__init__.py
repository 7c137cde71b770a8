"""The test bed: mail servers, mail and mounts for the integration tests.

Everything runs on loopback, below one temporary folder, and ends with the tests.  Started as
root, the servers run as an unprivileged user.
"""
