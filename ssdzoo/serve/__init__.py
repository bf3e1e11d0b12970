"""The HTTP server of a detector, and its page. Needs the extra `serve`."""
