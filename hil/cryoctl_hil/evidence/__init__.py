"""What a suite leaves behind: measurements that can be computed again from recordings."""
