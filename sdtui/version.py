"""The version, for the package's metadata and for run folders."""

VERSION = "0.1.0"
