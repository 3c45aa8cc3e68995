"""A simulated Magic Hour API over real sockets."""
