"""What runs a network: one file for each runtime, all behind `protocol.Backend`."""
