"""What people look at: runs and verdicts on a terminal and in files."""
