"""What tests with a broker share: topics, tiny models, the daemon as a child process."""
