"""The version, where setup and the hello packets read it without importing the rest."""

VERSION = "0.1.0"
