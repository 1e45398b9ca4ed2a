"""The simulated upload service: takes files and commits from users, and hands them over."""
