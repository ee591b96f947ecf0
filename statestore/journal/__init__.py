"""The journal: the order of commits, durable before anybody is told of them."""
