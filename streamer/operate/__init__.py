"""What commands do to topics and models: send, tail, show, try."""
