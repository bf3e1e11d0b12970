"""The way out of Gluon: symbols with their parameters."""
