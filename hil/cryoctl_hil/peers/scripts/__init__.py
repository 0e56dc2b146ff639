"""What runs in a peer's environment, by path: each file imports that peer and nothing of ours."""
